from .baseline import (
    attempt as attempt,
    read_theorems as read_theorems,
)
from .corpus.corpus import (
    SPLITS as SPLITS,
    Corpus as Corpus,
    Premise as Premise,
    TracedTheorem as TracedTheorem,
    load_corpus as load_corpus,
    novel_premises_split as novel_premises_split,
    random_split as random_split,
    save_corpus as save_corpus,
)
from .corpus.metamath import read_metamath as read_metamath
from .corpus.metamath_reading import database_queries as database_queries, metamath_corpus as metamath_corpus
from .corpus.tracing import own_corpus as own_corpus, trace as trace
from .explore import (
    subject as subject,
)
from .generate.fixed import majority_tactic as majority_tactic
from .generate.opening import GENERATORS as GENERATORS, generator as generator
from .last_word import verify as verify
from .lean.engine import (
    Engine as Engine,
    LeanFailed as LeanFailed,
    LeanMissing as LeanMissing,
    Library as Library,
    find_engine as find_engine,
    lean_available as lean_available,
    open_library as open_library,
)
from .lean.safety import refusal as refusal
from .lean.session import Session as Session
from .lean.source import find_theorem as find_theorem, own_theorem as own_theorem, proofs as proofs
from .lean.states import (
    LeanError as LeanError,
    ProofFinished as ProofFinished,
    ProofGivenUp as ProofGivenUp,
    TacticState as TacticState,
    Theorem as Theorem,
    Verified as Verified,
)
from .retrieve import (
    BM25 as BM25,
    Query as Query,
    Question as Question,
    ceiling as ceiling,
    evaluate as evaluate,
    measure_scores as measure_scores,
    queries as queries,
    retriever as retriever,
    top as top,
)
from .search.best_first import Budget as Budget, Search as Search
from .search.comparison import Declared as Declared, compare as compare, folds as folds
from .search.prover import Proof as Proof, Prover as Prover, prove as prove
from .settings import PROFILES as PROFILES, RETRIEVERS as RETRIEVERS, TRAINED as TRAINED
