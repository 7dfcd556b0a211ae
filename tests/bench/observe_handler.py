"""What one would otherwise run for `observe` and `replay`: one Lambda function in Python that takes a batch from the queue.

It judges each entry on its own, keeps tallies (in a dictionary, where a deployment has a table), writes serving log, labels and
signals with pyarrow, and, where a shadow is open, runs champion and challenger on the sampled rows with onnxruntime, many
rows a call, and writes the pairs. What the registry says is given, as it would be cached between invocations.
"""

import hashlib
import io
import json
import math
import time
from collections import defaultdict
from datetime import datetime, timezone

import numpy as np
import onnxruntime as ort
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

ENTRY_BYTES = 200_000
SCORE_TOLERANCE = 1e-5
ROWS_A_CALL = 1_000
MICROSECONDS = pa.timestamp("us", tz="UTC")
ROW_FIELDS = {
    "kind", "schema", "observation_id", "client_id", "model", "version", "digest", "role", "route", "unit", "at", "inputs",
    "output", "latency_us", "load_us", "warm", "error", "segments", "protected",
}  # fmt: skip
SAID_FIELDS = {"kind", "schema", "observation_id", "client_id", "model", "at"}
ROLES = {"champion", "challenger", "standby", "pinned"}


class Refused(Exception):
    """An entry that does not count."""


class Version:
    """One version on one thread."""

    def __init__(self, path, classes):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.kinds = {
            i.name: object if i.type == "tensor(string)" else np.float32 for i in self.session.get_inputs()
        }
        # Label and probabilities are the first two outputs of a classifier.
        self.outputs = [o.name for o in self.session.get_outputs()][:2]
        self.classes = classes

    def answer(self, rows, positive):
        """Label, score, scores, latency in microseconds and error of each row."""
        start = time.perf_counter_ns()
        try:
            feed = {
                name: np.array([row[name] for row in rows], kind).reshape(-1, 1) for name, kind in self.kinds.items()
            }
            labels, scores = self.session.run(self.outputs, feed)
        except Exception:
            if len(rows) == 1:
                taken = (time.perf_counter_ns() - start) // 1_000
                return [(None, None, None, taken, "session-failed")]
            # One bad row fails the call: it alone shall be the one that failed.
            return [answer for row in rows for answer in self.answer([row], positive)]
        taken = (time.perf_counter_ns() - start) // 1_000 // len(rows)
        # A classifier of skl2onnx answers an array, or with its `zipmap` a dictionary a row.
        if isinstance(scores, np.ndarray):
            scores = scores.tolist()
        else:
            scores = [[row[name] for name in self.classes] for row in scores]
        return [(label, s[positive], s, taken, None) for label, s in zip(labels.tolist(), scores)]


class Handler:
    """The function. `put` takes a key and the bytes of an object."""

    def __init__(self, known, put, sample_share=0.0, versions=None, rows_a_call=ROWS_A_CALL):
        self.known = known
        self.put = put
        self.share = round(sample_share * 10_000)
        self.versions = versions
        self.rows_a_call = rows_a_call
        self.positive = known["classes"].index(known["positive_class"])
        salt = known["promotion"]["salt"].encode()
        self.salted = hashlib.sha256(len(salt).to_bytes(8, "big") + salt)
        self.tallies = {}

    def handle(self, event):
        """Handles an event as the Python runtime hands it over: a dictionary."""
        rows, labels, signals, dead = [], [], [], []
        taken = {"served": rows, "label": labels, "signal": signals}
        oldest = None
        for message in event["Records"]:
            attributes = message["attributes"]
            sent = int(attributes["SentTimestamp"])
            oldest = sent if oldest is None else min(oldest, sent)
            sender = attributes["SenderId"].split(":")[0]
            entries, why = parse(message["body"])
            if why:
                dead.append(letter(message, sender, None, message["body"], why))
                continue
            for index, entry in enumerate(entries):
                try:
                    kind = self.judge(entry, sender)
                except Refused as refused:
                    dead.append(letter(message, sender, index, entry, str(refused)))
                    continue
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    dead.append(letter(message, sender, index, entry, f"not the contract's form: {error!r}"))
                    continue
                if kind == "tally":
                    entry["second"] = min(entry["second"], sent // 1_000)
                    self.tallies[entry["tally_id"]] = entry
                else:
                    entry["queued_at"] = sent * 1_000
                    taken[kind].append(entry)
        hour = datetime.fromtimestamp(oldest / 1_000, timezone.utc).strftime("date=%Y-%m-%d/hour=%H")
        if rows:
            self.write("observations", hour, served_table(rows))
        if labels:
            self.write("labels", hour, said_table(labels, "label", pa.string(), "value", pa.float64()))
        if signals:
            self.write("signals", hour, said_table(signals, "name", pa.string(), "value", pa.float64()))
        if dead:
            body = b"\n".join(orjson.dumps(d) for d in dead)
            self.put(f"dead-letters/{hour}/{hashlib.sha256(body).hexdigest()[:32]}.jsonl", body)
        if self.share:
            sample = [row for row in rows if row["role"] != "pinned" and self.samples(row)]
            if sample:
                self.write("pairs", hour, self.pairs(sample))
        return {"batchItemFailures": []}

    def judge(self, entry, sender):
        """The kind of an entry that counts."""
        kind = entry["kind"]
        if entry["schema"] != 1:
            raise Refused(f"schema {entry['schema']} is not known")
        if entry["model"] != self.known["model"]:
            raise Refused(f"model {entry['model']} is not registered")
        if sender not in self.known["senders"]:
            raise Refused(f"{sender} is not among the senders of the policy")
        if kind == "served":
            self.judge_row(entry)
        elif kind == "tally":
            self.judge_served_by(entry)
            counts = [entry[name] for name in ("assigned", "answered", "errors", "client_errors")]
            if not all(type(count) is int and count >= 0 for count in counts):
                raise Refused("a count is not a whole number")
            if sum(counts[1:]) > counts[0]:
                raise Refused(f"{sum(counts[1:])} outcomes of {counts[0]} assigned requests")
            if not 0 < len(entry["tally_id"]) <= 200 or type(entry["second"]) is not int:
                raise Refused("tally_id or second is not what it must be")
        elif kind in ("label", "signal"):
            own = {"label", "value"} if kind == "label" else {"name", "value"}
            if not entry.keys() <= SAID_FIELDS | own:
                raise Refused("unknown fields")
            if entry.get("observation_id") is None and entry.get("client_id") is None:
                raise Refused("nothing names the request")
            if kind == "label" and (entry.get("label") is None) == (entry.get("value") is None):
                raise Refused("a label has exactly one of `label` and `value`")
            if kind == "signal" and not (isinstance(entry["name"], str) and math.isfinite(entry["value"])):
                raise Refused("the signal's value is not a finite number")
            entry["at"] = microseconds(entry["at"])
        else:
            raise Refused(f"unknown kind {kind}")
        return kind

    def judge_row(self, row):
        self.judge_served_by(row)
        if not row.keys() <= ROW_FIELDS:
            raise Refused("unknown fields")
        identity = row["observation_id"]
        if not isinstance(identity, str) or not 0 < len(identity) <= 200:
            raise Refused("observation_id must have 1 to 200 characters")
        if not isinstance(row["inputs"], dict):
            raise Refused("inputs is not an object")
        if type(row["latency_us"]) is not int or row["latency_us"] < 0:
            raise Refused("latency_us is not a whole number")
        output = row.get("output") or {}
        if not output and row.get("error") is None:
            raise Refused("the row has neither an output nor an error")
        scores = output.get("scores")
        if scores is not None and not all(map(math.isfinite, scores)):
            raise Refused("a score is not a finite number")
        row["at"] = microseconds(row["at"])

    def judge_served_by(self, entry):
        """Whether this version can have served on this arm under this route."""
        known, promotion = self.known, self.known["promotion"]
        version, role, route = entry["version"], entry["role"], entry["route"]
        digest = known["versions"].get(version)
        if digest is None:
            raise Refused(f"version {version} is not registered")
        if digest != entry["digest"]:
            raise Refused(f"version {version} has another digest than {entry['digest']}")
        if role not in ROLES:
            raise Refused(f"unknown role {role}")
        if route["epoch"] > known["epoch"]:
            raise Refused(f"epoch {route['epoch']} has not come yet")
        if type(route["weight"]) is not int or not 0 <= route["weight"] <= 10_000:
            raise Refused("the weight is not a number of basis points")
        lawful = True
        if role == "challenger":
            lawful = route.get("promotion") == promotion["id"] and version == promotion["challenger"]
        elif role == "champion" and route["epoch"] == promotion["epoch"]:
            lawful = version == promotion["champion"]
        if not lawful:
            raise Refused(f"{version} was not the {role} at epoch {route['epoch']}")

    def samples(self, row):
        """The same choice each time a row comes."""
        if row["route"]["epoch"] != self.known["promotion"]["epoch"]:
            return False
        digest = self.salted.copy()
        digest.update(row["observation_id"].encode())
        return int.from_bytes(digest.digest()[:8], "big") % 10_000 < self.share

    def pairs(self, rows):
        """Both versions on these rows, beside what was really served."""
        inputs = [row["inputs"] for row in rows]
        answers = {name: [] for name in ("champion", "challenger")}
        for start in range(0, len(inputs), self.rows_a_call):
            batch = inputs[start : start + self.rows_a_call]
            for name, found in answers.items():
                found.extend(self.versions[name].answer(batch, self.positive))
        champion_version = self.known["promotion"]["champion"]
        served_labels = [row.get("output", {}).get("label") for row in rows]
        served_scores = [self.served_score(row) for row in rows]
        faithful = []
        for row, label, score, (again, score_again, *_) in zip(
            rows, served_labels, served_scores, answers["champion"]
        ):
            if row["version"] != champion_version or row.get("error") or again is None:
                faithful.append(None)
                continue
            known = score is not None and score_again is not None
            near = abs(score - score_again) <= SCORE_TOLERANCE if known else score is score_again
            faithful.append(label == again and near)
        columns = {
            **named(rows),
            "served_version": [row["version"] for row in rows],
            "served_label": pa.array(served_labels, pa.string()),
            "served_score": pa.array(served_scores, pa.float64()),
            "served_error": [(row.get("error") or {}).get("side") == "model" for row in rows],
        }
        for name, found in answers.items():
            label, score, scores, latency, error = zip(*found)
            columns[f"{name}_label"] = pa.array(label, pa.string())
            columns[f"{name}_score"] = pa.array(score, pa.float64())
            columns[f"{name}_scores"] = pa.array(scores, pa.list_(pa.float64()))
            columns[f"{name}_latency_us"] = pa.array(latency, pa.uint64())
            columns[f"{name}_error"] = pa.array(error, pa.string())
        columns["faithful"] = pa.array(faithful, pa.bool_())
        columns["segments"] = [orjson.dumps(self.segments(row), option=orjson.OPT_SORT_KEYS).decode() for row in rows]
        return pa.table(columns)

    def served_score(self, row):
        scores = row.get("output", {}).get("scores")
        return scores[self.positive] if scores else None

    def segments(self, row):
        found = {}
        for column in self.known["segment_columns"]:
            for source in ("protected", "segments", "inputs"):
                value = row.get(source, {}).get(column)
                if value is not None:
                    found[column] = str(value)
                    break
        return found

    def write(self, kind, hour, table):
        file = io.BytesIO()
        pq.write_table(table, file, compression="zstd", compression_level=1)
        body = file.getvalue()
        self.put(f"{kind}/{hour}/{hashlib.sha256(body).hexdigest()[:32]}.parquet", body)


def parse(body):
    """The entries of a message, or why there are none. orjson is strict; a number that JSON lacks is read by the other."""
    try:
        entries = orjson.loads(body)
    except ValueError:
        try:
            entries = json.loads(body)
        except ValueError as error:
            return None, f"the message is not JSON: {error}"
    if not isinstance(entries, list):
        return None, "the message is not a JSON array of entries"
    return entries, None


def letter(message, sender, index, entry, reason):
    text = entry if isinstance(entry, str) else json.dumps(entry)
    return {
        "reason": reason,
        "message_id": message["messageId"],
        "index": index,
        "queued_at": int(message["attributes"]["SentTimestamp"]),
        "sender": sender,
        "entry": text[:10_000],
    }


def microseconds(text):
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)


def named(rows):
    return {
        "observation_id": [row["observation_id"] for row in rows],
        "client_id": pa.array([row.get("client_id") for row in rows], pa.string()),
        "unit": [row.get("unit") or row["observation_id"].split("#")[0] for row in rows],
        "at": pa.array([row["at"] for row in rows], MICROSECONDS),
        "queued_at": pa.array([row["queued_at"] for row in rows], MICROSECONDS),
    }


def served_table(rows):
    def text(name):
        return [orjson.dumps(row.get(name) or {}).decode() for row in rows]

    errors = [row.get("error") or {} for row in rows]
    routes = [row["route"] for row in rows]
    return pa.table(
        {
            **named(rows),
            "version": [row["version"] for row in rows],
            "digest": [row["digest"] for row in rows],
            "role": [row["role"] for row in rows],
            "promotion": pa.array([route.get("promotion") for route in routes], pa.string()),
            "epoch": pa.array([route["epoch"] for route in routes], pa.uint64()),
            "weight_percent": pa.array([route["weight"] / 100 for route in routes], pa.float64()),
            "inputs": text("inputs"),
            "label": pa.array([row.get("output", {}).get("label") for row in rows], pa.string()),
            "output": text("output"),
            "latency_us": pa.array([row["latency_us"] for row in rows], pa.uint64()),
            "error": pa.array([error.get("kind") for error in errors], pa.string()),
            "error_message": pa.array([error.get("message") for error in errors], pa.string()),
            "segments": text("segments"),
            "protected": text("protected"),
        }
    )


def said_table(entries, *own):
    columns = {
        "observation_id": pa.array([entry.get("observation_id") for entry in entries], pa.string()),
        "client_id": pa.array([entry.get("client_id") for entry in entries], pa.string()),
        "at": pa.array([entry["at"] for entry in entries], MICROSECONDS),
        "queued_at": pa.array([entry["queued_at"] for entry in entries], MICROSECONDS),
    }
    for name, kind in zip(own[::2], own[1::2]):
        columns[name] = pa.array([entry.get(name) for entry in entries], kind)
    return pa.table(columns)
