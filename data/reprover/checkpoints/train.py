"""Make the checkpoints of this folder again: `python data/reprover/checkpoints/train.py [SPLIT ...] [--steps N]`.

For each split (random and novel_premises by the reference's seed, 40 and 80 theorems held out) the small generator is
trained on the training part alone, seed 0, and written to small-SPLIT/; the loss of the last hundred steps is printed
now and then.
"""

import argparse
import time
from pathlib import Path

from workbench.papers import reprover
from workbench.papers.reprover.generate import small
from workbench.papers.reprover.settings import PROFILES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("splits", nargs="*", default=list(reprover.SPLITS))
    parser.add_argument("--steps", type=int, default=small.STEPS)
    options = parser.parse_args()
    size, corpus = PROFILES.fill("standard"), reprover.own_corpus()
    for split in options.splits:
        parts = reprover.SPLITS[split](corpus.theorems, size["n_val"], size["n_test"])
        began = time.process_time()

        def told(step: int, loss: float, split=split, began=began) -> None:
            if (step + 1) % 100 == 0:
                print(f"{split} {step + 1} steps, loss {loss:.3f}, {time.process_time() - began:.0f} CPU s", flush=True)

        made = small.trained(corpus, parts["train"], seed=0, steps=options.steps, told=told)
        print(made.save(Path(__file__).parent / f"small-{split}"))


if __name__ == "__main__":
    main()
