"""What a comparison of provers found, as tables, curves and sentences; `figures` draws them."""

from ....results import Results, metric_key
from ....stats import Estimate
from ..settings import PROVERS

COMMONEST, FIXED, COPIED, COPIED_BM25, LEARNED, LEARNED_BM25, LEARNED_TRAINED, LEARNED_RANDOM = PROVERS
# the two oldest have the names that they had in records before there was a second split
NAMED = {("random", COMMONEST): "majority.pass_1", ("random", FIXED): "fixed_list.pass_1"}
# what each is compared with: the claim's own questions, and the control that has as many premises, drawn at random
PAIRS = (
    (COPIED_BM25, COPIED),
    (COPIED, FIXED),
    (LEARNED, COPIED),
    (LEARNED_TRAINED, COPIED),
    (LEARNED_BM25, LEARNED),
    (LEARNED_TRAINED, LEARNED),
    (LEARNED_TRAINED, LEARNED_RANDOM),
)


def proof_table(found: Results) -> list[dict]:
    """A row a prover: Pass@1 with its interval, after how many calls, and what it cost.

    As in the reference, a theorem that does not open is not counted; how many did not is told.
    """
    shares, rows = found.table("proved"), []
    for prover in found.arms:
        tried = found.of(prover).rows
        of = [row for row in tried if row.labels["status"] != "not opened"]
        places = [name for name in (of[0].measures if of else ()) if "after" in name]
        rows.append({
            "prover": prover, "proved": sum(row.measures["proved"] for row in of), "of": len(of),
            "pass@1": shares[prover],
            **{name: sum(row.measures[name] for row in of) for name in places},
            "not opened": len(tried) - len(of), "rejected by the kernel": len(found.of(prover, status="rejected")),
            "calls a theorem": sum(row.cost["calls"] for row in of) / max(len(of), 1),
            "seconds": round(sum(row.cost["seconds"] for row in of), 1),
            "of them generating": round(sum(row.cost["generating"] for row in of), 1),
        })  # fmt: skip
    return rows


def curves(found: Results) -> dict[str, tuple[list[int], list[Estimate]]]:
    """Each prover's share of theorems proved over calls of Lean: {prover: (calls, Estimates)}."""
    if not found.rows:
        return {}
    places = {int(name.split()[-1]): name for name in found.rows[0].measures if "after" in name}
    tables = {calls: found.table(name) for calls, name in places.items()}
    return {
        prover: ([n for n in tables if tables[n][prover]], [tables[n][prover] for n in tables if tables[n][prover]])
        for prover in found.arms
    }


def by_theorem(found: Results):
    """A row a theorem, a column a prover: after how many calls it was proved, else how the attempt ended."""
    import pandas as pd

    cells: dict[str, dict[str, str]] = {}
    for row in found.rows:
        status = row.labels["status"]
        cells.setdefault(row.item, {})[row.arm] = f"{row.cost['calls']:g} calls" if status == "proved" else status
    return pd.DataFrame.from_dict(cells, orient="index").rename_axis("theorem")


def paired(found: Results):
    """The differences that matter (`PAIRS`), theorem by theorem, with Holm's correction; a pandas table."""
    return found.differences(PAIRS, "proved", bounds=(0, 1))


def sentences(found: dict[str, Results]) -> list[str]:
    """What was proved, split by split, and whether anything beats copying: sentences that follow from the numbers."""
    said = []
    for split, one in found.items():
        if not one.rows:
            continue
        shares = ", ".join(f"{prover} {share}" for prover, share in one.table("proved").items() if share)
        calls = max(row.cost["calls"] for row in one.rows)
        said.append(f"Proved of the {split} split's theorems, with at most {calls:g} calls of Lean each: {shares}.")
        for first, second in PAIRS:
            if {first, second} <= set(one.arms):
                said.append(one.sentence(first, second, "proved", things="proofs", unit="theorem", bounds=(0, 1)))
    return said


def metrics(found: dict[str, Results]) -> dict[str, Estimate]:
    """For `workbench.record`: each prover's Pass@1 on each split, and the differences of `PAIRS`."""
    said = {}
    for split, one in found.items():
        for prover, share in one.table("proved").items():
            said[NAMED.get((split, prover), f"{split}.{metric_key(prover)}.pass_1")] = share
        for first, second in PAIRS:
            if {first, second} <= set(one.arms):
                said[f"{split}.{metric_key(first)}_minus_{metric_key(second)}"] = one.added(
                    first, second, "proved", (0, 1)
                )
    return {name: value for name, value in said.items() if value is not None}
