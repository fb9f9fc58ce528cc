"""Python's provider for flagd. bulk.py PORT SELECTOR: for each line of JSON with features and ids,
a line with a string for each feature: whether it is on, for each id. An id may be null: none."""

import json
import sys

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext


def main():
    port, selector = sys.argv[1:]
    provider = FlagdProvider(
        host="127.0.0.1",
        port=int(port),
        selector=selector or None,
        resolver_type=ResolverType.RPC,
        deadline_ms=20000,
    )
    api.set_provider_and_wait(provider)
    client = api.get_client()
    for line in sys.stdin:
        asked = json.loads(line)
        contexts = [EvaluationContext(id) for id in asked["ids"]]

        def bits(feature):
            def bit(context):
                details = client.get_boolean_details(feature, False, context)
                return "E" if details.error_code else str(int(details.value))

            return "".join(bit(context) for context in contexts)

        print(json.dumps([bits(feature) for feature in asked["features"]]), flush=True)
    api.shutdown()


main()
