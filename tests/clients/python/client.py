"""Python's provider for flagd, driven line by line; see the driver in main.rs.

client.py rpc|in-process PORT: reads requests, writes responses and events, one per line of JSON.
"""

import json
import sys
import threading

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent

EVENTS = {
    ProviderEvent.PROVIDER_READY: "ready",
    ProviderEvent.PROVIDER_STALE: "stale",
    ProviderEvent.PROVIDER_ERROR: "error",
    ProviderEvent.PROVIDER_CONFIGURATION_CHANGED: "changed",
}
# Events arrive on a thread of their own.
writing = threading.Lock()


def write(line):
    with writing:
        print(json.dumps(line), flush=True)


def subscribe(client, event, name):
    client.add_handler(
        event, lambda details: write({"event": name, "flags": details.flags_changed or []})
    )


def context_of(question):
    fields = dict(question.get("context", {}))
    return EvaluationContext(fields.pop("targetingKey", None), fields)


def answer(client, question):
    ask = {
        "boolean": client.get_boolean_details,
        "string": client.get_string_details,
        "integer": client.get_integer_details,
        "float": client.get_float_details,
        "object": client.get_object_details,
    }[question["type"]]
    details = ask(question["key"], question["default"], context_of(question))
    write(
        {
            "value": details.value,
            "variant": details.variant,
            "reason": details.reason,
            "error": details.error_code,
            "metadata": dict(details.flag_metadata or {}),
        }
    )


def main():
    resolver, port = sys.argv[1:]
    client = api.get_client()
    for event, name in EVENTS.items():
        subscribe(client, event, name)
    api.set_provider_and_wait(
        FlagdProvider(
            host="127.0.0.1",
            port=int(port),
            resolver_type=ResolverType(resolver),
        )
    )
    for line in sys.stdin:
        answer(client, json.loads(line))
    api.shutdown()


main()
