from .alphabets import (
    ALPHABETS as ALPHABETS,
    Alphabet as Alphabet,
)
from .alternation import (
    alternation_fit as alternation_fit,
    alternation_table as alternation_table,
    at_equal_length as at_equal_length,
    distinct_shares as distinct_shares,
    human_sequences as human_sequences,
    p_alts as p_alts,
    sources_at as sources_at,
)
from .baselines import (
    bernoulli as bernoulli,
    bits as bits,
    held_out_markov_bits as held_out_markov_bits,
    markov as markov,
    markov_fit as markov_fit,
    sample as sample,
    window_average as window_average,
)
from .bayes import (
    BayesCurve as BayesCurve,
    bayes_curve as bayes_curve,
)
from .change import (
    change_study as change_study,
    change_table as change_table,
    changes as changes,
)
from .concept import (
    ConceptCurve as ConceptCurve,
    concept_curve as concept_curve,
    concept_curves as concept_curves,
    rotations as rotations,
)
from .curve import (
    next_flip_curve as next_flip_curve,
)
from .flips import (
    Preset as Preset,
    as_digits as as_digits,
    parse_flips as parse_flips,
    presets as presets,
    random_flips as random_flips,
    read_flips as read_flips,
    repeat_concept as repeat_concept,
    write_flips as write_flips,
)
from .generate import (
    SampledFlip as SampledFlip,
    generate_sequences as generate_sequences,
    sample_next_flip as sample_next_flip,
)
from .judging import (
    judge as judge,
    words as words,
)
from .measures import (
    alternation_rate as alternation_rate,
    bits_per_flip as bits_per_flip,
    counted as counted,
    distinct_subsequences as distinct_subsequences,
    gzip_length as gzip_length,
    levenshtein_ratio as levenshtein_ratio,
    longest_run as longest_run,
    repeat_match as repeat_match,
    running_mean as running_mean,
    summary as summary,
    told_apart as told_apart,
)
from .settings import (
    JUDGEMENT as JUDGEMENT,
    JUDGEMENTS as JUDGEMENTS,
    P_TAILS_GRID as P_TAILS_GRID,
    PROFILES as PROFILES,
    PROMPTS as PROMPTS,
    SERVED as SERVED,
    SETTINGS as SETTINGS,
    Prompt as Prompt,
    prompt_about as prompt_about,
    prompt_text as prompt_text,
)
from .sources import (
    draw as draw,
    known_source as known_source,
    source_bits as source_bits,
    transitions as transitions,
)
