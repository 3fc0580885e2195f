from .attribution.attention import attention_maps as attention_maps
from .attribution.game import coalition_values as coalition_values, masked_ids as masked_ids, next_tokens as next_tokens
from .attribution.methods import attribute as attribute, compare as compare
from .attribution.remote import attribute_served as attribute_served
from .data import (
    MinimalPair as MinimalPair,
    concept_rows as concept_rows,
    corpus as corpus,
    demo_tasks as demo_tasks,
    known_prompts as known_prompts,
    minimal_pairs as minimal_pairs,
    openings as openings,
    probe_rows as probe_rows,
    question_rows as question_rows,
    reasoning_rows as reasoning_rows,
    shortcut_rows as shortcut_rows,
    substitutions as substitutions,
)
from .evaluation.faithfulness import faithfulness_table as faithfulness_table
from .evaluation.removal import (
    agreement as agreement,
    erasure as erasure,
    simulatability as simulatability,
    simulatability_table as simulatability_table,
)
from .evaluation.sanity import weight_randomisation as weight_randomisation
from .examples.counterfactual import (
    adversarial as adversarial,
    compare_edit as compare_edit,
    counterfactuals as counterfactuals,
)
from .examples.debugging import debug_shortcut as debug_shortcut
from .examples.in_context import example_influence as example_influence
from .examples.influence import influence_on_head as influence_on_head
from .inside.circuit import walk_circuit as walk_circuit
from .inside.concepts import (
    concept_vector as concept_vector,
    dose_response as dose_response,
    random_concept as random_concept,
    read_concept as read_concept,
    steer_next as steer_next,
    steering as steering,
)
from .inside.lens import logit_lens as logit_lens
from .inside.neurons import browse_neurons as browse_neurons, topic_neuron as topic_neuron
from .inside.patching import PARTS as PARTS, patch_heads as patch_heads, patching_grid as patching_grid
from .inside.probes import linear_probe as linear_probe, parameter_free_probe as parameter_free_probe
from .prompting.reasoning import chain_faithfulness as chain_faithfulness
from .prompting.uncertainty import ask as ask, self_consistency as self_consistency, uncertainty_of as uncertainty_of
from .settings import METHODS as METHODS, PROFILES as PROFILES, REMOVALS as REMOVALS, sizes as sizes
from .taxonomy import TAXONOMY as TAXONOMY, taxonomy_tree as taxonomy_tree
from .tokens import neutral_token as neutral_token, read_prompt as read_prompt
