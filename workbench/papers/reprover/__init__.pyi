from .baseline import (
    attempt as attempt,
)
from .baseline import (
    majority_tactic as majority_tactic,
)
from .baseline import (
    read_theorems as read_theorems,
)
from .corpus.corpus import (
    SPLITS as SPLITS,
)
from .corpus.corpus import (
    Corpus as Corpus,
)
from .corpus.corpus import (
    Premise as Premise,
)
from .corpus.corpus import (
    TracedTheorem as TracedTheorem,
)
from .corpus.corpus import (
    load_corpus as load_corpus,
)
from .corpus.corpus import (
    novel_premises_split as novel_premises_split,
)
from .corpus.corpus import (
    random_split as random_split,
)
from .corpus.corpus import (
    save_corpus as save_corpus,
)
from .corpus.metamath import read_metamath as read_metamath
from .corpus.metamath_reading import database_queries as database_queries
from .corpus.metamath_reading import metamath_corpus as metamath_corpus
from .corpus.tracing import own_corpus as own_corpus
from .corpus.tracing import trace as trace
from .explore import (
    Ranker as Ranker,
)
from .explore import (
    subject as subject,
)
from .last_word import verify as verify
from .lean.engine import (
    Engine as Engine,
)
from .lean.engine import (
    LeanFailed as LeanFailed,
)
from .lean.engine import (
    LeanMissing as LeanMissing,
)
from .lean.engine import (
    Library as Library,
)
from .lean.engine import (
    find_engine as find_engine,
)
from .lean.engine import (
    lean_available as lean_available,
)
from .lean.engine import (
    open_library as open_library,
)
from .lean.safety import refusal as refusal
from .lean.session import Session as Session
from .lean.source import find_theorem as find_theorem
from .lean.source import own_theorem as own_theorem
from .lean.source import proofs as proofs
from .lean.states import (
    LeanError as LeanError,
)
from .lean.states import (
    ProofFinished as ProofFinished,
)
from .lean.states import (
    ProofGivenUp as ProofGivenUp,
)
from .lean.states import (
    TacticState as TacticState,
)
from .lean.states import (
    Theorem as Theorem,
)
from .lean.states import (
    Verified as Verified,
)
from .retrieve import (
    BM25 as BM25,
)
from .retrieve import (
    RETRIEVERS as RETRIEVERS,
)
from .retrieve import (
    Query as Query,
)
from .retrieve import (
    Scores as Scores,
)
from .retrieve import (
    ceiling as ceiling,
)
from .retrieve import (
    evaluate as evaluate,
)
from .retrieve import (
    measure as measure,
)
from .retrieve import (
    measure_scores as measure_scores,
)
from .retrieve import (
    queries as queries,
)
from .retrieve import (
    top as top,
)
from .settings import PROFILES as PROFILES
from .settings import fill as fill
