"""The survey's map as data: every leaf with a few words of ours, papers to begin with, and what runs here.

The tree follows the project's card of Zhao et al. 2023. The papers are a choice of ours, at most three a leaf; every
arXiv number was looked up beside its title in other people's bibliographies (the survey's companion list has a
duplicate and some wrong links). A leaf either names a public function of `workbench.papers.explainability` or says why
there is none.
"""

from dataclasses import dataclass

FINE, PROMPT, EVAL = "Fine-tuning paradigm", "Prompting paradigm", "Evaluation"


@dataclass(frozen=True)
class KeyPaper:
    """A paper to begin with; ``arxiv`` is its number, or None where it has none."""

    authors: str
    year: int
    title: str
    arxiv: str | None = None

    @property
    def url(self) -> str | None:
        """Its page at arxiv.org."""
        return f"https://arxiv.org/abs/{self.arxiv}" if self.arxiv else None

    def __str__(self) -> str:
        return f"{self.authors} {self.year}: {self.title}" + (f" (arXiv {self.arxiv})" if self.arxiv else "")


@dataclass(frozen=True)
class Leaf:
    """A leaf of the map.

    Attributes
    ----------
    path : tuple of str
        The branches above it, root first.
    title, text : str
    papers : tuple of KeyPaper
    function : str or None
        A public name of `workbench.papers.explainability`; ``call`` shows how it is called.
    reason : str or None
        Why there is no function, where there is none.
    call : str
    """

    path: tuple[str, ...]
    title: str
    text: str
    papers: tuple[KeyPaper, ...]
    function: str | None = None
    reason: str | None = None
    call: str = ""


def _p(authors, year, title, arxiv=None):
    return KeyPaper(authors, year, title, arxiv)


ERASURE = _p("Li et al.", 2016, "Understanding Neural Networks through Representation Erasure", "1612.08220")
IG = _p("Sundararajan et al.", 2017, "Axiomatic Attribution for Deep Networks", "1703.01365")
LIME = _p(
    "Ribeiro et al.", 2016, '"Why Should I Trust You?": Explaining the Predictions of Any Classifier', "1602.04938"
)
SHAP = _p("Lundberg and Lee", 2017, "A Unified Approach to Interpreting Model Predictions", "1705.07874")
TAYLOR = _p(
    "Montavon et al.",
    2015,
    "Explaining NonLinear Classification Decisions with Deep Taylor Decomposition",
    "1512.02479",
)
VOITA = _p(
    "Voita et al.", 2019,
    "Analyzing Multi-Head Self-Attention: Specialized Heads Do the Heavy Lifting, the Rest Can Be Pruned", "1905.09418",
)  # fmt: skip
BERTVIZ = _p("Vig", 2019, "Visualizing Attention in Transformer-Based Language Representation Models", "1904.02679")
ROLLOUT = _p("Abnar and Zuidema", 2020, "Quantifying Attention Flow in Transformers", "2005.00928")
ATTATTR = _p(
    "Hao et al.", 2020, "Self-Attention Attribution: Interpreting Information Interactions Inside Transformer",
    "2004.11207",
)  # fmt: skip
NOT = _p("Jain and Wallace", 2019, "Attention is not Explanation", "1902.10186")
NOTNOT = _p("Wiegreffe and Pinter", 2019, "Attention is not not Explanation", "1908.04626")
TEXTFOOLER = _p(
    "Jin et al.", 2019, "Is BERT Really Robust? A Strong Baseline for Natural Language Attack on Text Classification "
    "and Entailment", "1907.11932",
)  # fmt: skip
MICE = _p("Ross et al.", 2020, "Explaining NLP Models via Minimal Contrastive Editing (MiCE)", "2012.13985")
POLYJUICE = _p(
    "Wu et al.", 2021, "Polyjuice: Generating Counterfactuals for Explaining, Evaluating, and Improving Models",
    "2101.00288",
)  # fmt: skip
KOH = _p("Koh and Liang", 2017, "Understanding Black-box Predictions via Influence Functions", "1703.04730")
COSE = _p("Rajani et al.", 2019, "Explain Yourself! Leveraging Language Models for Commonsense Reasoning", "1906.02361")
CONTROL = _p("Hewitt and Liang", 2019, "Designing and Interpreting Probes with Control Tasks", "1909.03368")
PIPELINE = _p("Tenney et al.", 2019, "BERT Rediscovers the Classical NLP Pipeline", "1905.05950")
MASKING = _p(
    "Wu et al.", 2020, "Perturbed Masking: Parameter-free Probing for Analyzing and Interpreting BERT", "2004.14786"
)
BLIMP = _p("Warstadt et al.", 2019, "BLiMP: The Benchmark of Linguistic Minimal Pairs for English", "1912.00582")
GRAIN = _p(
    "Dalvi et al.", 2018, "What Is One Grain of Sand in the Desert? Analyzing Individual Neurons in Deep NLP Models",
    "1812.09355",
)  # fmt: skip
TCAV = _p(
    "Kim et al.", 2017, "Interpretability Beyond Feature Attribution: Quantitative Testing with Concept Activation "
    "Vectors (TCAV)", "1711.11279",
)  # fmt: skip
IOI = _p(
    "Wang et al.", 2022, "Interpretability in the Wild: a Circuit for Indirect Object Identification in GPT-2 small",
    "2211.00593",
)  # fmt: skip
ROME = _p("Meng et al.", 2022, "Locating and Editing Factual Associations in GPT", "2202.05262")
DEBUG = _p(
    "Lertvittayakumjorn and Toni", 2021, "Explanation-Based Human Debugging of NLP Models: A Survey", "2104.15135"
)
SHORTCUT = _p(
    "Du et al.", 2021, "Towards Interpreting and Mitigating Shortcut Learning Behavior of NLU Models", "2103.06922"
)
CAD = _p(
    "Kaushik et al.", 2019, "Learning the Difference that Makes a Difference with Counterfactually-Augmented Data",
    "1909.12434",
)  # fmt: skip
DEMOS = _p(
    "Min et al.", 2022, "Rethinking the Role of Demonstrations: What Makes In-Context Learning Work?", "2202.12837"
)
LARGER = _p("Wei et al.", 2023, "Larger language models do in-context learning differently", "2303.03846")
LANHAM = _p("Lanham et al.", 2023, "Measuring Faithfulness in Chain-of-Thought Reasoning", "2307.13702")
TURPIN = _p(
    "Turpin et al.", 2023, "Language Models Don't Always Say What They Think: Unfaithful Explanations in "
    "Chain-of-Thought Prompting", "2305.04388",
)  # fmt: skip
REPE = _p("Zou et al.", 2023, "Representation Engineering: A Top-Down Approach to AI Transparency", "2310.01405")
LIMA = _p("Zhou et al.", 2023, "LIMA: Less Is More for Alignment", "2305.11206")
SELFCHECK = _p(
    "Manakul et al.", 2023, "SelfCheckGPT: Zero-Resource Black-Box Hallucination Detection for Generative Large "
    "Language Models", "2303.08896",
)  # fmt: skip
XIONG = _p(
    "Xiong et al.", 2023, "Can LLMs Express Their Uncertainty? An Empirical Evaluation of Confidence Elicitation in "
    "LLMs", "2306.13063",
)  # fmt: skip
SEMANTIC = _p(
    "Kuhn et al.", 2023, "Semantic Uncertainty: Linguistic Invariances for Uncertainty Estimation in Natural Language "
    "Generation", "2302.09664",
)  # fmt: skip
ORCA = _p("Mukherjee et al.", 2023, "Orca: Progressive Learning from Complex Explanation Traces of GPT-4", "2306.02707")
LAMPINEN = _p("Lampinen et al.", 2022, "Can language models learn from explanations in context?", "2204.02329")
ERASER = _p("DeYoung et al.", 2019, "ERASER: A Benchmark to Evaluate Rationalized NLP Models", "1911.03429")
JACOVI = _p(
    "Jacovi and Goldberg", 2020, "Towards Faithfully Interpretable NLP Systems: How should we define and evaluate "
    "faithfulness?", "2004.03685",
)  # fmt: skip
SANITY = _p("Adebayo et al.", 2018, "Sanity Checks for Saliency Maps", "1810.03292")
SIMULATE = _p(
    "Chen et al.", 2023, "Do Models Explain Themselves? Counterfactual Simulatability of Natural Language Explanations",
    "2307.08678",
)  # fmt: skip
SURVEY = _p("Zhao et al.", 2023, "Explainability for Large Language Models: A Survey", "2309.01029")

_ATTR, _ATT = (FINE, "Local", "Feature attribution"), (FINE, "Local", "Attention")
_EXAMPLE, _GLOBAL = (FINE, "Local", "Examples"), (FINE, "Global")

TAXONOMY: tuple[Leaf, ...] = (
    Leaf(_ATTR, "Perturbation", "Take words away or exchange them, and see what the answer loses.", (ERASURE,),
         "attribute", call='attribute(model, prompt, target, method="occlusion")'),
    Leaf(_ATTR, "Gradient", "How the answer would change if a word's vector moved a little; integrated along a path, "
         "the parts add up to the whole.", (IG,), "attribute",
         call='attribute(model, prompt, target, method="integrated_gradients")'),
    Leaf(_ATTR, "Surrogate", "Fit a simple model to the big one around this input and explain the simple one; Shapley "
         "values share the answer out fairly.", (LIME, SHAP), "attribute",
         call='attribute(model, prompt, target, method="kernel_shap")'),
    Leaf(_ATTR, "Decomposition", "Hand the answer's score back layer by layer until it lies on the words.",
         (TAYLOR, VOITA), "attribute", call='attribute(model, prompt, target, method="decomposition")'),
    Leaf(_ATT, "Visualisation", "Draw which earlier words each head looks at. A picture of wiring, not of causes.",
         (BERTVIZ, ROLLOUT), "attention_maps", call="attention_maps(model, prompt)"),
    Leaf(_ATT, "Function-based", "Weigh attention by what it does to the output, with gradients or by following it "
         "through the layers; here rollout, with the attention sink taken out.", (ATTATTR, ROLLOUT), "attribute",
         call='attribute(model, prompt, target, method="rollout")'),
    Leaf(_ATT, "The debate", "Can attention be an explanation? Two papers, opposite titles; the faithfulness table "
         "puts attention beside occlusion and chance on this model.", (NOT, NOTNOT), "faithfulness_table",
         call='faithfulness_table(model, known_prompts(), ["occlusion", "attention", "rollout"])'),
    Leaf(_EXAMPLE, "Adversarial", "Exchange words for near-synonyms until the answer turns, though it should not.",
         (TEXTFOOLER,), "adversarial", call="adversarial(model, prompt, answer, foil)"),
    Leaf(_EXAMPLE, "Counterfactual", "The smallest change of the prompt after which the model says something else.",
         (MICE, POLYJUICE), "counterfactuals", call="counterfactuals(model, prompt, answer, foil)"),
    Leaf(_EXAMPLE, "Data influence", "Which training rows made this prediction: predicted with gradients, checked by "
         "leaving rows out and training again.", (KOH,), "influence_on_head",
         call="influence_on_head(embeddings, labels, test_embeddings, test_labels)"),
    Leaf((FINE, "Local"), "Natural-language explanation", "Let a model say in words why it answered so.", (COSE,),
         reason="A model that is tuned to explain itself is needed, and written reasons to tune it with; the embedded "
         "models have neither. How far a written chain leads to the answer is measured under chain of thought."),
    Leaf((*_GLOBAL, "Probing"), "Classifier probes", "Train a small classifier on hidden states: is a property there "
         "to be read? Control labels tell whether the classifier just learns by heart.", (CONTROL, PIPELINE),
         "linear_probe", call="linear_probe(texts, labels, test_texts, test_labels, model=model)"),
    Leaf((*_GLOBAL, "Probing"), "Parameter-free probes", "Train nothing: compare what the model thinks of sentences "
         "that differ in one point.", (MASKING, BLIMP), "parameter_free_probe", call="parameter_free_probe(model)"),
    Leaf(_GLOBAL, "Neuron activation", "Which texts make a neuron fire, and which words it then promotes.", (GRAIN,),
         "browse_neurons", call="browse_neurons(model, [row.text for row in corpus()])"),
    Leaf(_GLOBAL, "Concepts", "A direction in the hidden states that stands for an idea: read it in any text.",
         (TCAV,), "read_concept", call="read_concept(model, concept_vector(model, positive, negative), texts)"),
    Leaf(_GLOBAL, "Mechanistic", "Which layers, positions and heads carry an answer: patch them from one run into "
         "another, then take them away.", (IOI, ROME), "walk_circuit", call="walk_circuit(model)"),
    Leaf((FINE, "Uses"), "Debugging models", "Find out from explanations that a classifier leans on the wrong word, "
         "and mend it.", (DEBUG, SHORTCUT), "debug_shortcut", call="debug_shortcut(encoder)"),
    Leaf((FINE, "Uses"), "Improving models", "Train on what explanations showed: without the misleading words, or with "
         "counterfactual examples added.", (CAD,), "debug_shortcut", call="debug_shortcut(encoder).change"),
    Leaf((PROMPT, "Base model"), "In-context learning", "Which of the examples in the prompt taught the answer, and "
         "what a wrong one does.", (DEMOS, LARGER), "example_influence",
         call="example_influence(model, examples, query, answer, foil)"),
    Leaf((PROMPT, "Base model"), "Chain of thought", "Does the answer follow the written steps? Cut them short, put a "
         "mistake in, exchange them.", (LANHAM, TURPIN), "chain_faithfulness", call="chain_faithfulness(model)"),
    Leaf((PROMPT, "Base model"), "Representation engineering", "Move the hidden states along a concept and watch the "
         "answer move, beside random directions of the same length.", (REPE,), "dose_response",
         call="dose_response(model, concept, prompts, positive, negative)"),
    Leaf((PROMPT, "Assistant model"), "The role of fine-tuning", "What does instruction tuning add to what "
         "pre-training knew?", (LIMA,),
         reason="It takes the same model before and after tuning; of the embedded models one is tuned and the other is "
         "not, and they are different models, so a difference between them would prove nothing."),
    Leaf((PROMPT, "Assistant model"), "Hallucination", "Made-up answers change from sample to sample; true ones tend "
         "to stay.", (SELFCHECK,), "self_consistency", call="self_consistency(model)"),
    Leaf((PROMPT, "Assistant model"), "Uncertainty", "Entropy, agreement of samples and the model's own words, against "
         "whether it was right.", (XIONG, SEMANTIC), "uncertainty_of", call="uncertainty_of(model)"),
    Leaf((PROMPT, "Uses"), "Improving large models", "Train or prompt with explanations written by a larger model.",
         (ORCA, LAMPINEN),
         reason="It takes a large teacher and a training run, and the embedded models are far below both; wrong "
         "examples that example_influence finds can be taken out of a prompt, which is the smallest form of it."),
    Leaf((PROMPT, "Uses"), "Downstream applications", "Explanations in schools, hospitals, banks: whether they help is "
         "a question about people.", (SURVEY,),
         reason="It takes users and their tasks, not a function."),
    Leaf((EVAL, "Fine-tuning paradigm"), "Plausibility", "Does the explanation look right to people, compared with "
         "words that people marked?", (ERASER,),
         reason="No words marked by people belong to this data set, and we do not make them up; the planted sentence "
         "of the debugging story is the one place where the right answer is known."),
    Leaf((EVAL, "Fine-tuning paradigm"), "Faithfulness", "Removing what is said to matter must matter more than "
         "removing anything else: comprehensiveness, sufficiency, AOPC, with a random line.", (ERASER, JACOVI),
         "faithfulness_table", call="faithfulness_table(model, known_prompts())"),
    Leaf((EVAL, "Fine-tuning paradigm"), "Sanity checks", "An explanation must change when the weights are replaced by "
         "random ones.", (SANITY,), "weight_randomisation", call="weight_randomisation(model, prompt, target)"),
    Leaf((EVAL, "Prompting paradigm"), "Plausibility", "Do written explanations convince people?", (SIMULATE,),
         reason="Conviction is measured on people; what can be measured on a model is counterfactual simulatability."),
    Leaf((EVAL, "Prompting paradigm"), "Faithfulness", "Does the written reasoning cause the answer?", (LANHAM, TURPIN),
         "chain_faithfulness", call='chain_faithfulness(model, chains="own")'),
    Leaf((EVAL, "Prompting paradigm"), "Counterfactual simulatability", "Can one predict from the explanation what the "
         "model does on a changed input?", (SIMULATE,), "simulatability",
         call="simulatability(model, attribute(model, prompt, target))"),
)  # fmt: skip


def taxonomy_tree() -> dict:
    """The map as nested dictionaries: branch -> … -> leaf's title -> Leaf."""
    tree: dict = {}
    for leaf in TAXONOMY:
        branch = tree
        for name in leaf.path:
            branch = branch.setdefault(name, {})
        branch[leaf.title] = leaf
    return tree
