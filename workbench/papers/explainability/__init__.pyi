from .attribution.game import (
    Cost as Cost,
)
from .attribution.game import (
    coalition_values as coalition_values,
)
from .attribution.game import (
    masked_ids as masked_ids,
)
from .attribution.game import (
    next_tokens as next_tokens,
)
from .attribution.heads import AttentionMaps as AttentionMaps
from .attribution.heads import attention_maps as attention_maps
from .attribution.methods import attribute as attribute
from .attribution.methods import compare as compare
from .attribution.remote import ServedAttribution as ServedAttribution
from .attribution.remote import attribute_served as attribute_served
from .attribution.result import Attribution as Attribution
from .data import (
    FAMILIES as FAMILIES,
)
from .data import (
    MARK as MARK,
)
from .data import (
    PROPERTIES as PROPERTIES,
)
from .data import (
    ConceptRow as ConceptRow,
)
from .data import (
    CorpusRow as CorpusRow,
)
from .data import (
    DemoTask as DemoTask,
)
from .data import (
    KnownPrompt as KnownPrompt,
)
from .data import (
    MinimalPair as MinimalPair,
)
from .data import (
    OpeningRow as OpeningRow,
)
from .data import (
    ProbeRow as ProbeRow,
)
from .data import (
    QuestionRow as QuestionRow,
)
from .data import (
    ReasoningRow as ReasoningRow,
)
from .data import (
    ShortcutRow as ShortcutRow,
)
from .data import (
    concept_rows as concept_rows,
)
from .data import (
    corpus as corpus,
)
from .data import (
    demo_tasks as demo_tasks,
)
from .data import (
    known_prompts as known_prompts,
)
from .data import (
    minimal_pairs as minimal_pairs,
)
from .data import (
    openings as openings,
)
from .data import (
    probe_rows as probe_rows,
)
from .data import (
    question_rows as question_rows,
)
from .data import (
    reasoning_rows as reasoning_rows,
)
from .data import (
    shortcut_rows as shortcut_rows,
)
from .data import (
    substitutions as substitutions,
)
from .evaluation.faithfulness import (
    FaithfulnessRow as FaithfulnessRow,
)
from .evaluation.faithfulness import (
    FaithfulnessTable as FaithfulnessTable,
)
from .evaluation.faithfulness import (
    Pair as Pair,
)
from .evaluation.faithfulness import (
    faithfulness_table as faithfulness_table,
)
from .evaluation.removal import (
    Agreement as Agreement,
)
from .evaluation.removal import (
    AgreementRow as AgreementRow,
)
from .evaluation.removal import (
    Erasure as Erasure,
)
from .evaluation.removal import (
    SimulatabilityRow as SimulatabilityRow,
)
from .evaluation.removal import (
    Simulated as Simulated,
)
from .evaluation.removal import (
    agreement as agreement,
)
from .evaluation.removal import (
    erasure as erasure,
)
from .evaluation.removal import (
    simulatability as simulatability,
)
from .evaluation.removal import (
    simulatability_table as simulatability_table,
)
from .evaluation.sanity import (
    Randomisation as Randomisation,
)
from .evaluation.sanity import (
    RandomisationRow as RandomisationRow,
)
from .evaluation.sanity import (
    weight_randomisation as weight_randomisation,
)
from .examples.counterfactual import (
    Adversarial as Adversarial,
)
from .examples.counterfactual import (
    Counterfactuals as Counterfactuals,
)
from .examples.counterfactual import (
    Edit as Edit,
)
from .examples.counterfactual import (
    adversarial as adversarial,
)
from .examples.counterfactual import (
    compare_edit as compare_edit,
)
from .examples.counterfactual import (
    counterfactuals as counterfactuals,
)
from .examples.debugging import ShortcutStory as ShortcutStory
from .examples.debugging import debug_shortcut as debug_shortcut
from .examples.in_context import ExampleInfluence as ExampleInfluence
from .examples.in_context import example_influence as example_influence
from .examples.influence import Influence as Influence
from .examples.influence import influence_on_head as influence_on_head
from .inside.circuit import (
    Circuit as Circuit,
)
from .inside.circuit import (
    Step as Step,
)
from .inside.circuit import (
    ablate_heads as ablate_heads,
)
from .inside.circuit import (
    walk_circuit as walk_circuit,
)
from .inside.concepts import (
    Concept as Concept,
)
from .inside.concepts import (
    DoseResponse as DoseResponse,
)
from .inside.concepts import (
    Steered as Steered,
)
from .inside.concepts import (
    concept_vector as concept_vector,
)
from .inside.concepts import (
    dose_response as dose_response,
)
from .inside.concepts import (
    random_concept as random_concept,
)
from .inside.concepts import (
    read_concept as read_concept,
)
from .inside.concepts import (
    steer_next as steer_next,
)
from .inside.concepts import (
    steering as steering,
)
from .inside.lens import Lens as Lens
from .inside.lens import logit_lens as logit_lens
from .inside.neurons import (
    NeuronCard as NeuronCard,
)
from .inside.neurons import (
    NeuronExample as NeuronExample,
)
from .inside.neurons import (
    TopicNeuron as TopicNeuron,
)
from .inside.neurons import (
    browse_neurons as browse_neurons,
)
from .inside.neurons import (
    neuron_card as neuron_card,
)
from .inside.neurons import (
    topic_neuron as topic_neuron,
)
from .inside.patching import (
    PARTS as PARTS,
)
from .inside.patching import (
    HeadPatching as HeadPatching,
)
from .inside.patching import (
    Patching as Patching,
)
from .inside.patching import (
    Spent as Spent,
)
from .inside.patching import (
    can_patch as can_patch,
)
from .inside.patching import (
    patch_heads as patch_heads,
)
from .inside.patching import (
    patching_grid as patching_grid,
)
from .inside.patching import (
    patching_grid_literal as patching_grid_literal,
)
from .inside.probes import (
    ParameterFree as ParameterFree,
)
from .inside.probes import (
    ProbeResult as ProbeResult,
)
from .inside.probes import (
    linear_probe as linear_probe,
)
from .inside.probes import (
    parameter_free_probe as parameter_free_probe,
)
from .prompting.reasoning import ChainFaithfulness as ChainFaithfulness
from .prompting.reasoning import chain_faithfulness as chain_faithfulness
from .prompting.uncertainty import (
    Answered as Answered,
)
from .prompting.uncertainty import (
    SelfConsistency as SelfConsistency,
)
from .prompting.uncertainty import (
    Uncertainty as Uncertainty,
)
from .prompting.uncertainty import (
    ask as ask,
)
from .prompting.uncertainty import (
    self_consistency as self_consistency,
)
from .prompting.uncertainty import (
    uncertainty_of as uncertainty_of,
)
from .settings import (
    GAP as GAP,
)
from .settings import (
    METHODS as METHODS,
)
from .settings import (
    PROFILES as PROFILES,
)
from .settings import (
    QUANTITIES as QUANTITIES,
)
from .settings import (
    REMOVALS as REMOVALS,
)
from .settings import (
    MethodInfo as MethodInfo,
)
from .settings import (
    fill as fill,
)
from .settings import (
    sizes as sizes,
)
from .taxonomy import TAXONOMY as TAXONOMY
from .taxonomy import KeyPaper as KeyPaper
from .taxonomy import Leaf as Leaf
from .taxonomy import taxonomy_tree as taxonomy_tree
from .tokens import Reading as Reading
from .tokens import neutral_token as neutral_token
from .tokens import read_prompt as read_prompt
