from .analysers import (
    KINDS as KINDS,
    Coverage as Coverage,
    analyse as analyse,
    read_infer as read_infer,
)
from .asking import (
    Question as Question,
    detect as detect,
    filter_warnings as filter_warnings,
    patches as patches,
)
from .compiler import (
    JavaMissing as JavaMissing,
    ecj as ecj,
    java as java,
)
from .data import (
    Example as Example,
    teaching_set as teaching_set,
)
from .filters import (
    RULES as RULES,
    Case as Case,
    compared as compared,
    read_jleaks as read_jleaks,
    scored as scored,
)
from .loaders import (
    Labelled as Labelled,
    juliet_controls as juliet_controls,
    read_infer_tests as read_infer_tests,
    read_juliet as read_juliet,
)
from .repair import (
    Proposal as Proposal,
    Validation as Validation,
    diff as diff,
    rule_patch as rule_patch,
    validate as validate,
)
from .sarif import (
    VERDICTS as VERDICTS,
    Finding as Finding,
    Verdict as Verdict,
    findings as findings,
    read_sarif as read_sarif,
    with_verdicts as with_verdicts,
    write_sarif as write_sarif,
)
from .settings import PROFILES as PROFILES
from .sources import (
    Method as Method,
    Source as Source,
    methods as methods,
    parse_methods as parse_methods,
    scan as scan,
)
from .triage import (
    Triage as Triage,
    Triaged as Triaged,
    rule_patches as rule_patches,
)
