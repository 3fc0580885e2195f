"""What a tactic may not contain. Model-written text reaches Lean only through `refusal`.

The last word on a proof is the kernel's: a found proof is compiled from scratch and its axioms are read (`verify` in
session.py). This filter is the first word: it keeps text from leaving the proof body (ending the theorem, declaring
something, commenting the rest out), from running code while it is being elaborated, and from giving up by `sorry`.
It is stricter than Lean's grammar: a tactic that a person would write in the library passes, and what is refused is
named.
"""

import re
import unicodedata

LONGEST = 4096  # characters
# words that begin or change a declaration, run code, or admit a goal; each as a whole identifier
_WORDS = """
    sorry sorryAx admit stop axiom theorem lemma def abbrev instance example opaque constant inductive
    coinductive structure class namespace section end mutual import export prelude module universe variable
    set_option attribute macro macro_rules syntax declare_syntax_cat elab elab_rules notation infix infixl
    infixr prefix postfix initialize builtin_initialize run_cmd run_elab run_meta run_tac native_decide
    ofReduceBool ofReduceNat trustCompiler unsafe unsafeCast partial private protected noncomputable deriving
    local scoped by_elab include_str extern implemented_by csimp dbg_trace dbgTrace panic unreachable open omit
    include termination_by decreasing_by reduceBool reduceNat meta public grind_pattern simproc builtin_simproc
    add_decl_doc register_simp_attr register_option recommended_spelling assert_not_exists assert_not_imported
    unseal seal where finally exact? apply? rw? show_term native init_quot alias nonrec binder_predicate
    proof_wanted irreducible_def bv_decide polyrith slim_check plausible checkpoint
    set_premise_selector set_library_suggestions with_weak_namespace unif_hint dsimproc simproc_decl dsimproc_decl
    tactic_extension library_note docs_to_verso suppress_compilation grind_propagator expose dbg_sleep dbg_stack_trace
    debug_assert initialize_simps_projections norm_cast_add_elim bv_check version sleep try? hint
    show_panel_widgets with_panel_widgets init_grind_norm
"""
WORDS = frozenset(_WORDS.split())
OPENING = {"(": ")", "[": "]", "{": "}", "⟨": "⟩", "⦃": "⦄"}
STARTS = ("declare_", "register_", "builtin_", "run_")  # families of commands and of code that runs at elaboration
_IDENTIFIER = re.compile(r"[^\W\d][\w!?']*(?:\.[^\W\d][\w!?']*)*", re.UNICODE)
_ASCII_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_!?']*")


def refusal(tactic: str) -> str | None:
    """Why this tactic text must not be given to Lean, as one clause; None when it may.

    Checked in this order: length, characters, comments and quotes, words, brackets.

    Examples
    --------
    >>> refusal("rw [Nat.add_comm]") is None
    True
    >>> refusal("exact sorry")
    "the word 'sorry' is not allowed in a tactic"
    """
    if not tactic.strip():
        return "the tactic is empty"
    if len(tactic) > LONGEST:
        return f"the tactic has {len(tactic):,} characters; at most {LONGEST:,} are allowed"
    return _characters(tactic) or _comments(tactic) or _words(tactic) or _brackets(tactic)


def _characters(tactic: str) -> str | None:
    for character in tactic:
        kind = unicodedata.category(character)
        if character not in "\n " and (kind[0] in "CZ" or kind in ("Mn", "Me")):
            # tabs, carriage returns, other spaces, zero-width and direction marks, combining marks, private use
            return f"the character U+{ord(character):04X} is not allowed in a tactic"
    # full-width and other look-alikes of ASCII would read as one thing and parse as another
    for character in tactic:
        plain = unicodedata.normalize("NFKC", character)
        if plain != character and plain.isascii() and not _is_lean_letter(character):
            return f"the look-alike character U+{ord(character):04X} is not allowed in a tactic"
    return None


def _is_lean_letter(character: str) -> bool:
    """Subscript digits and letters, and superscripts, which Lean names use."""
    return "₀" <= character <= "ₜ" or character in "⁻¹²³"


def _comments(tactic: str) -> str | None:
    for mark in ("--", "/-", "-/"):
        if mark in tactic:
            return f"comments ({mark}) are not allowed in a tactic"
    for mark, name in {'"': "string quotes", "«": "quoted names", "»": "quoted names", "`": "quotations",
                       "#": "commands (#)",
                       "@[": "attributes (@[)", "\\": "escapes (\\)", "$": "antiquotations ($)",
                       "%": "the sign %"}.items():  # fmt: skip
        if mark in tactic:
            return f"{name} are not allowed in a tactic"
    # a character literal hides any one bracket; a prime inside a name (h') does not
    if re.search(r"(?<![\w'!?])'[^']?'", tactic):
        return "character literals are not allowed in a tactic"
    return None


def _words(tactic: str) -> str | None:
    # Lean reads 0x1sorry as a number and a word: what looks like one identifier to us must be one to Lean
    joined = re.search(r"(?<![\w'!?])\d\w*?[^\W\d]", tactic)
    if joined:
        return f"the number {joined[0]!r} runs into a word"
    # the second pattern: Lean ends a name before some letters that Python counts as part of it (λ, Σ, other scripts)
    for found in (*_IDENTIFIER.finditer(tactic), *_ASCII_NAME.finditer(tactic)):
        parts = found[0].split(".")
        for part in parts:
            if part in WORDS or part.rstrip("?!'") in WORDS or part.startswith(STARTS):
                return f"the word {part!r} is not allowed in a tactic"
        first = parts[1] if parts[0] == "_root_" and len(parts) > 1 else parts[0]
        if first in ("Lean", "IO", "System") or re.fullmatch(r"lc[A-Z]\w*", parts[-1]):
            return f"the name {found[0]!r} is not allowed in a tactic"
    return None


def _brackets(tactic: str) -> str | None:
    waiting: list[str] = []
    for character in tactic:
        if character in OPENING:
            waiting.append(OPENING[character])
        elif character in OPENING.values() and (not waiting or waiting.pop() != character):
            return f"the bracket {character!r} closes nothing"
    return f"a bracket is not closed ({waiting[-1]!r} is missing)" if waiting else None
