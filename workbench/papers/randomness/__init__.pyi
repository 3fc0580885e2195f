from .baselines import (
    bernoulli as bernoulli,
)
from .baselines import (
    bits as bits,
)
from .baselines import (
    held_out_markov_bits as held_out_markov_bits,
)
from .baselines import (
    markov as markov,
)
from .baselines import (
    markov_fit as markov_fit,
)
from .baselines import (
    sample as sample,
)
from .baselines import (
    window_average as window_average,
)
from .bayes import (
    BayesCurve as BayesCurve,
)
from .bayes import (
    bayes_curve as bayes_curve,
)
from .concept import (
    ConceptCurve as ConceptCurve,
)
from .concept import (
    concept_curve as concept_curve,
)
from .concept import (
    concept_curves as concept_curves,
)
from .concept import (
    random_controls as random_controls,
)
from .concept import (
    rotations as rotations,
)
from .curve import (
    next_flip_curve as next_flip_curve,
)
from .flips import (
    Preset as Preset,
)
from .flips import (
    as_digits as as_digits,
)
from .flips import (
    parse_flips as parse_flips,
)
from .flips import (
    presets as presets,
)
from .flips import (
    random_flips as random_flips,
)
from .flips import (
    read_flips as read_flips,
)
from .flips import (
    repeat_concept as repeat_concept,
)
from .flips import (
    write_flips as write_flips,
)
from .generate import (
    Generated as Generated,
)
from .generate import (
    SampledFlip as SampledFlip,
)
from .generate import (
    generate_sequences as generate_sequences,
)
from .generate import (
    sample_next_flip as sample_next_flip,
)
from .judging import (
    judge as judge,
)
from .judging import (
    words as words,
)
from .measures import (
    alternation_rate as alternation_rate,
)
from .measures import (
    bits_per_flip as bits_per_flip,
)
from .measures import (
    distinct_subsequences as distinct_subsequences,
)
from .measures import (
    gzip_length as gzip_length,
)
from .measures import (
    levenshtein_ratio as levenshtein_ratio,
)
from .measures import (
    longest_run as longest_run,
)
from .measures import (
    repeat_match as repeat_match,
)
from .measures import (
    running_mean as running_mean,
)
from .measures import (
    summary as summary,
)
from .settings import (
    ALPHABETS as ALPHABETS,
)
from .settings import (
    JUDGEMENT as JUDGEMENT,
)
from .settings import (
    P_TAILS_GRID as P_TAILS_GRID,
)
from .settings import (
    PROFILES as PROFILES,
)
from .settings import (
    PROMPTS as PROMPTS,
)
from .settings import (
    SETTINGS as SETTINGS,
)
from .settings import (
    Alphabet as Alphabet,
)
from .settings import (
    Prompt as Prompt,
)
from .settings import (
    fill as fill,
)
