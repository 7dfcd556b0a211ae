"""The same aggregation as comparison.py, as one would write it in SQL for DuckDB: comparison_duckdb.py run FOLDER

One pass makes a table of distinct, joined pairs; the rest are aggregations over it. Ids are grouped and joined by 128 bits of
their hash, which takes less time and memory than by their text. Latency quantiles are exact.
"""

import json
import resource
import sys
import time
from pathlib import Path

import duckdb

POSITIVE = ">50K"
SIDES = ["champion", "challenger"]
SEGMENTS = ["age", "race", "region", "sex"]

folder = Path(sys.argv[2])
start = time.perf_counter()
db = duckdb.connect()
db.execute("SET preserve_insertion_order = false")
db.execute(
    f"""
    CREATE TABLE said AS
    SELECT md5_number(observation_id) AS id, arg_max(label, "at") AS label
    FROM read_parquet('{folder}/labels-*.parquet') GROUP BY id
    """
)
(read_rows,) = db.execute(f"SELECT count(*) FROM read_parquet('{folder}/pairs-*.parquet')").fetchone()
db.execute(
    f"""
    CREATE TABLE joined AS
    WITH kept AS (
        SELECT md5_number(observation_id) AS id, any_value(served_label) AS served_label, any_value(faithful) AS faithful,
            any_value(champion_label) AS champion_label, any_value(champion_score) AS champion_score,
            any_value(champion_error) AS champion_error, any_value(champion_latency_us) AS champion_us,
            any_value(challenger_label) AS challenger_label, any_value(challenger_score) AS challenger_score,
            any_value(challenger_error) AS challenger_error, any_value(challenger_latency_us) AS challenger_us,
            any_value(segments) AS segments
        FROM read_parquet('{folder}/pairs-*.parquet') GROUP BY id
    )
    SELECT CASE WHEN faithful IS NOT NULL AND served_label IS NOT NULL THEN served_label
                WHEN champion_error IS NULL THEN champion_label END AS champion,
        CASE WHEN challenger_error IS NULL THEN challenger_label END AS challenger,
        champion_error IS NOT NULL AS champion_failed, challenger_error IS NOT NULL AS challenger_failed,
        faithful, champion_score, challenger_score, champion_us, challenger_us, segments, label
    FROM kept LEFT JOIN said USING (id)
    """
)
db.execute(
    "CREATE TABLE cells AS SELECT segments, label, champion, challenger, count(*) AS n FROM joined GROUP BY ALL"
)
db.execute(
    "CREATE TABLE by_value AS SELECT c.*, "
    + ", ".join(f"json_extract_string(segments, '$.{column}') AS {column}" for column in SEGMENTS)
    + " FROM cells c"
)


def one(sql):
    return db.execute(sql).fetchone()


names = "pairs compared agreed faithful champion_errors challenger_errors labelled champion_right challenger_right crossings_up crossings_down"
counts = dict(
    zip(
        names.split(),
        one(
            """
            SELECT count(*), count(champion), count(*) FILTER (champion = challenger), count(*) FILTER (faithful),
                count(*) FILTER (champion_failed), count(*) FILTER (challenger_failed), count(label),
                count(*) FILTER (champion = label), count(*) FILTER (challenger = label),
                count(*) FILTER (champion_score < 0.5 AND challenger_score >= 0.5),
                count(*) FILTER (champion_score >= 0.5 AND challenger_score < 0.5)
            FROM joined
            """
        ),
    )
)
counts["duplicates"] = read_rows - counts["pairs"]

segments = {}
for column in SEGMENTS:
    rows = db.execute(
        f"""
        SELECT {column}, sum(n), sum(n) FILTER (champion = label), sum(n) FILTER (challenger = label)
        FROM by_value WHERE label IS NOT NULL GROUP BY 1
        """
    ).fetchall()
    for value, n, champion, challenger in rows:
        segments[f"{column}={value}"] = {"n": int(n), "right": [int(champion), int(challenger)]}

scored = "joined WHERE label IS NOT NULL AND champion_score IS NOT NULL AND challenger_score IS NOT NULL"
losses, areas, calibration = {"log_loss": [], "brier": []}, [], []
for side in SIDES:
    p, eps = f"{side}_score", sys.float_info.epsilon
    row = one(
        f"""
        SELECT avg(-ln(greatest({eps}, least(1 - {eps}, CASE WHEN label = '{POSITIVE}' THEN {p} ELSE 1 - {p} END)))),
            avg(({p} - (label = '{POSITIVE}')::INT) ** 2)
        FROM {scored}
        """
    )
    losses["log_loss"].append(row[0])
    losses["brier"].append(row[1])
    calibration.append(
        one(
            f"""
            SELECT sum(abs(hits - total)) / sum(n) FROM (
                SELECT count(*) AS n, count(*) FILTER (label = '{POSITIVE}') AS hits, sum({p}) AS total
                FROM {scored} GROUP BY least(14, floor({p} * 15)))
            """
        )[0]
    )
    # The area by the same 65,536 bins, ties within a bin counted as one half.
    areas.append(
        one(
            f"""
            SELECT sum(positive * (below + negative / 2)) / (sum(positive) * sum(negative)) FROM (
                SELECT positive, negative,
                    coalesce(sum(negative) OVER (ORDER BY bin ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS below
                FROM (
                    SELECT least(65535, floor({p} * 65536)) AS bin, (count(*) FILTER (label = '{POSITIVE}'))::DOUBLE AS positive,
                        (count(*) FILTER (label <> '{POSITIVE}'))::DOUBLE AS negative
                    FROM {scored} GROUP BY 1))
            """
        )[0]
    )


def f1(side):
    rows = db.execute(
        f"SELECT label, coalesce({side}, '(no answer)'), sum(n)::BIGINT FROM by_value WHERE label IS NOT NULL GROUP BY ALL"
    ).fetchall()
    classes = {truth for truth, _, _ in rows} | {answer for _, answer, _ in rows}
    score = 0.0
    for c in classes:
        hits = sum(n for truth, answer, n in rows if truth == answer == c)
        score += 2 * hits / sum(n * ((truth == c) + (answer == c)) for truth, answer, n in rows)
    return score / len(classes)


def fairness(column):
    rates = {}
    for side in SIDES:
        yes = f"CASE WHEN {side} IS NULL THEN label <> '{POSITIVE}' ELSE {side} = '{POSITIVE}' END"
        rates[side] = db.execute(
            f"""
            SELECT sum(n) FILTER ({yes}) / sum(n),
                sum(n) FILTER ({yes} AND label = '{POSITIVE}') / sum(n) FILTER (label = '{POSITIVE}'),
                sum(n) FILTER ({yes} AND label <> '{POSITIVE}') / sum(n) FILTER (label <> '{POSITIVE}')
            FROM by_value WHERE label IS NOT NULL GROUP BY {column}
            """
        ).fetchall()

    def spread(side, place):
        values = [row[place] for row in rates[side]]
        return max(values) - min(values)

    return [
        [spread(side, 0) for side in SIDES],
        [max(spread(side, 1), spread(side, 2)) for side in SIDES],
    ]


quantiles = one(
    """
    SELECT quantile_cont(champion_us, [0.5, 0.95, 0.99]), quantile_cont(challenger_us, [0.5, 0.95, 0.99])
    FROM joined WHERE NOT champion_failed AND NOT challenger_failed
    """
)
matrix = db.execute(
    "SELECT champion, challenger, sum(n)::BIGINT FROM by_value WHERE champion IS NOT NULL GROUP BY ALL"
).fetchall()
result = {
    "counts": counts,
    "segments": segments,
    "matrix": matrix,
    "exact": {
        "macro_f1": [f1(side) for side in SIDES],
        **losses,
        "ece": calibration,
        "fairness": {"race": fairness("race"), "sex": fairness("sex")},
    },
    "auc": {"values": areas},
    "quantiles_us": dict(zip(SIDES, quantiles)),
}
result["seconds"] = time.perf_counter() - start
result["peak_kib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(result))
