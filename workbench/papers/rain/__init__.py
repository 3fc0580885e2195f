"""RAIN: a frozen language model searches for replies it judges good itself.

Li, Wei, Zhao, Zhang, Zhang: "RAIN: Your Language Models Can Align Themselves without Finetuning", ICLR 2024, arXiv
2309.07124; reference code SafeAILab/RAIN.

The algorithm, for each token set ("move") of a reply:
 1. select from the root down: argmax of (q + 1) / 2 + c p sqrt(n_parent) / (1 + n) (`Searcher._select`);
 2. at a node never visited, simulate: sample on to the end of the clause;
 3. let the model judge the text reached (a scorer), a value in [-1, 1];
 4. back the value up the path, and in part to siblings whose texts mean the same;
 5. give a node children when the search passes it: likely token sets of 1, 2, 4, then 10 tokens; one more where all are
    alike and bad;
 6. stop early when the most visited child is visited and good enough, else when the searches are used up; commit it,
    keep its subtree, go on from there.

Where paper and code differ, the code is followed, each time by a named setting (`RainSettings`, with its source): what
a node embeds, no simulation where the clause has ended, the root's own evaluation, the most visited child as the move.

Where this differs from the reference code, on purpose:
 * children are made when first passed through, not when first visited (the same tree, fewer chains);
 * the end-of-text token is compared as a token (the code compares it with a tuple and never sees it), and
   errors are raised where a bare except ends the code's generation silently;
 * a simulation has at most ``rollout_tokens`` tokens; a node without candidates ends the reply;
 * the priors of a node that got one more child are normalised again over all of them;
 * (q + 1) / 2 stands without the code's 1e-5 in the denominator; of equal children the more probable is taken (the
   code: the lower token);
 * TruthfulQA's text is judged as it is (the code cuts it behind its last full stop);
 * templates and demonstrations are our own, and labels are found by the model's tokenizer (the code
   hard-codes LLaMA's ids);
 * ``commit="sample"`` draws the move by visits as §3 words it; the default takes the most visited, as the code does;
 * random numbers come from streams named by the text so far, so that batching and caching cannot change a result.

>>> from workbench import load                                     # doctest: +SKIP
>>> from workbench.papers.rain import rain, objective, RainSettings   # doctest: +SKIP
>>> model = load()                                                 # doctest: +SKIP
>>> rain(model, ["Review: This movie was"], scorer=objective(model, "sentiment"),
...      settings=RainSettings.embedded())[0].reply                # doctest: +SKIP
"""

from ...lazy import from_stub

__getattr__, __dir__, __all__ = from_stub(__name__, __file__)
