// Java's provider for flagd, driven line by line; see the driver in main.rs.
//
// Client.java rpc|in-process PORT: reads requests, writes responses and events, one per line of JSON.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.openfeature.contrib.providers.flagd.Config;
import dev.openfeature.contrib.providers.flagd.FlagdOptions;
import dev.openfeature.contrib.providers.flagd.FlagdProvider;
import dev.openfeature.sdk.Client;
import dev.openfeature.sdk.EventDetails;
import dev.openfeature.sdk.FlagEvaluationDetails;
import dev.openfeature.sdk.ImmutableContext;
import dev.openfeature.sdk.OpenFeatureAPI;
import dev.openfeature.sdk.Structure;
import dev.openfeature.sdk.Value;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.HashMap;
import java.util.Map;

class ClientTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = System.out;

    public static void main(String[] args) throws Exception {
        boolean rpc = args[0].equals("rpc");
        OpenFeatureAPI api = OpenFeatureAPI.getInstance();
        Client client = api.getClient();
        client.onProviderReady(event -> write("ready", event));
        client.onProviderStale(event -> write("stale", event));
        client.onProviderError(event -> write("error", event));
        client.onProviderConfigurationChanged(event -> write("changed", event));
        // Not "AndWait": on a busy machine, a virtual machine needs longer to load the provider than the
        // default allows. The provider continues, and emits an event when it is ready.
        api.setProvider(new FlagdProvider(FlagdOptions.builder()
                .host("127.0.0.1")
                .port(Integer.parseInt(args[1]))
                .resolverType(rpc ? Config.Resolver.RPC : Config.Resolver.IN_PROCESS)
                .build()));
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in));
        for (String line = questions.readLine(); line != null; line = questions.readLine()) {
            write(answer(client, JSON.readTree(line)));
        }
        api.shutdown();
        System.exit(0);
    }

    /** Events come on threads of their own; println is atomic. */
    private static void write(JsonNode line) {
        OUT.println(line);
    }

    private static void write(String name, EventDetails event) {
        ObjectNode line = JSON.createObjectNode().put("event", name);
        line.set("flags", JSON.valueToTree(event.getFlagsChanged() == null
                ? new String[0] : event.getFlagsChanged().toArray()));
        write(line);
    }

    private static ObjectNode answer(Client client, JsonNode question) {
        String key = question.get("key").asText();
        JsonNode otherwise = question.get("default");
        ImmutableContext context = context(question.path("context"));
        switch (question.get("type").asText()) {
            case "boolean":
                return line(client.getBooleanDetails(key, otherwise.asBoolean(), context));
            case "string":
                return line(client.getStringDetails(key, otherwise.asText(), context));
            case "integer":
                return line(client.getIntegerDetails(key, otherwise.asInt(), context));
            case "float":
                return line(client.getDoubleDetails(key, otherwise.asDouble(), context));
            default:
                return line(client.getObjectDetails(key, value(otherwise), context));
        }
    }

    private static ObjectNode line(FlagEvaluationDetails<?> details) {
        Object value = details.getValue();
        ObjectNode line = JSON.createObjectNode();
        line.set("value", JSON.valueToTree(value instanceof Value ? plain((Value) value) : value));
        line.put("variant", details.getVariant());
        line.put("reason", details.getReason());
        line.put("error", details.getErrorCode() == null ? null : details.getErrorCode().name());
        line.set("metadata", JSON.valueToTree(details.getFlagMetadata().asUnmodifiableMap()));
        return line;
    }

    private static ImmutableContext context(JsonNode fields) {
        Map<String, Value> attributes = new HashMap<>();
        fields.properties().forEach(field -> attributes.put(field.getKey(), value(field.getValue())));
        Value key = attributes.remove("targetingKey");
        return new ImmutableContext(key == null ? null : key.asString(), attributes);
    }

    private static Value value(JsonNode json) {
        return Value.objectToValue(JSON.convertValue(json, Object.class));
    }

    private static Object plain(Value value) {
        if (value.isStructure()) {
            Structure structure = value.asStructure();
            Map<String, Object> fields = new HashMap<>();
            structure.asMap().forEach((key, field) -> fields.put(key, plain(field)));
            return fields;
        }
        return value.isList() ? value.asList().stream().map(ClientTest::plain).toArray() : value.asObject();
    }
}
