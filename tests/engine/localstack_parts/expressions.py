"""Step Functions: JSONata by `jsonata-python` instead of a Java archive, with the functions that Step Functions adds to the language.

Variables go into an expression as text; LocalStack writes strings there without escapes, so that a quote in an error message would
break the next state. They are written as JSON here. https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import hashlib
import json
import random
import uuid

from . import replace

HASHES = {"MD5": hashlib.md5, "SHA-1": hashlib.sha1, "SHA-256": hashlib.sha256, "SHA-384": hashlib.sha384, "SHA-512": hashlib.sha512}


def install() -> None:
    from localstack.services.stepfunctions.asl.component.common.string import string_expression
    from localstack.services.stepfunctions.asl.eval import states, variable_store
    from localstack.services.stepfunctions.asl.jsonata import jsonata as text

    def declarations(bindings: dict) -> str:
        return "".join(f"{name}:={text.to_json_str(value, separators=(',', ':'))};" for name, value in bindings.items())

    for module in (text, states, variable_store):
        replace(module, "encode_jsonata_variable_declarations", declarations)
    # What Step Functions adds is written in JSONata there, with two functions that only say that they are missing.
    replace(string_expression, "get_intrinsic_functions_declarations", lambda variable_references: "")

    def evaluate(expression: str):
        try:
            return _evaluate(expression)
        except Exception as error:
            raise text.JSONataException("UNKNOWN", str(error)) from error

    replace(text, "_eval_jsonata", evaluate)


def _evaluate(expression: str):
    import jsonata

    prepared = jsonata.Jsonata(expression)
    for name, function in FUNCTIONS.items():
        prepared.register_lambda(name, function)
    # What the evaluator returns may be of its own kinds of list.
    return json.loads(json.dumps(prepared.evaluate(None)))


def _range(first, last, step):
    if step == 0 or len(numbers := range(int(first), int(last) + (1 if step > 0 else -1), int(step))) > 1_000:
        raise ValueError("$range has at most 1000 elements and no step of 0")
    return list(numbers)


FUNCTIONS = {
    "parse": json.loads,
    "uuid": lambda: str(uuid.uuid4()),
    "hash": lambda value, algorithm: HASHES[algorithm](value.encode()).hexdigest(),
    "random": lambda seed=None: random.Random(seed).random(),
    "range": _range,
    "partition": lambda values, size: [values[at : at + int(size)] for at in range(0, len(values), int(size))],
}
