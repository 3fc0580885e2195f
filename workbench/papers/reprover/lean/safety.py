"""What a tactic may not contain. Model-written text reaches Lean only through `refusal`.

The last word on a proof is the kernel's: a found proof is compiled from scratch and its axioms are read (`verify` in
session.py). This filter is the first word: it keeps text from leaving the proof body (ending the theorem, declaring
something, commenting the rest out), from running code while it is being elaborated, and from giving up by `sorry`.
It is stricter than Lean's grammar: a tactic that a person would write in the library passes, and what is refused is
named.
"""

import re
import unicodedata

from .lexical import CHARACTER, NAME, RAW, SPACE, TEXT, UNKNOWN, goes_on, is_letter, tokens

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
    show_panel_widgets with_panel_widgets init_grind_norm deprecated_module deprecated_syntax
"""
WORDS = frozenset(_WORDS.split())
# what admits a goal or trusts compiled code under any name that ends in it
ADMITTING = frozenset(
    {
        "sorry", "sorryAx", "admit", "stop", "ofReduceBool", "ofReduceNat", "trustCompiler", "unsafeCast", "reduceBool",
        "reduceNat", "native_decide", "dbgTrace", "panic", "include_str",
    }
)  # fmt: skip
OPENING = {"(": ")", "[": "]", "{": "}", "⟨": "⟩", "⦃": "⦄"}
STARTS = ("declare_", "register_", "builtin_", "run_")  # families of commands and of code that runs at elaboration
_IDENTIFIER = re.compile(r"[^\W\d][\w!?']*(?:\.[^\W\d][\w!?']*)*", re.UNICODE)
# letters that some versions of Lean, or none, take into a name: there the word behind them begins anew
_BEHIND = re.compile("[\u00c0-\u017f\u1d62-\u1d6a\u2100-\u214f\u2c7c\U0001d400-\U0001d7cb]([A-Za-z_][A-Za-z0-9_!?']*)")
_FIELD = re.compile(r"(?:[)\]}⟩]|[\w)\]}⟩']\.\d+)\.$")
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
    reason = characters_refusal(tactic, "in a tactic")
    if reason is None and any(mark in tactic for mark in ("--", "/-", "-/")):
        reason = "comments (--, /-) are not allowed in a tactic"
    if reason is None and re.search(r"\\(?!\s|[^\x00-\x7f]|[({\[])", tactic):
        reason = "escapes (\\) are not allowed in a tactic; as an operator \\ stands before a space or a bracket"
    return reason or text_refusal(tactic, "in a tactic")


def text_refusal(text: str, where: str) -> str | None:
    """The same for a text whose comments are gone, a tactic's or a statement's: signs, words, brackets."""
    return characters_refusal(text, where) or _signs(text, where) or _words(text, where) or _brackets(text)


def characters_refusal(text: str, where: str) -> str | None:
    """A character that Lean or a reader could take for another one."""
    for character in text:
        kind = unicodedata.category(character)
        if character not in "\n " and (kind[0] in "CZ" or kind in ("Mn", "Me")):
            # tabs, carriage returns, other spaces, zero-width and direction marks, combining marks, private use
            return f"the character U+{ord(character):04X} is not allowed {where}"
    # full-width and other look-alikes of ASCII would read as one thing and parse as another
    for character in text:
        if character.isascii() or is_letter(character) or goes_on(character) or character in "⁻¹²³⁴⁵⁶⁷⁸⁹⁰ⁿ₀₁₂₃₄₅₆₇₈₉":
            continue
        plain = unicodedata.normalize("NFKC", character)
        if plain != character and plain.isascii() and unicodedata.category(character) not in ("Sm", "So", "Lm"):
            return f"the look-alike character U+{ord(character):04X} is not allowed {where}"
    return None


def _signs(text: str, where: str) -> str | None:
    found = tokens(text)
    for number, token in enumerate(found):
        if token.kind in (TEXT, RAW):
            return f"string quotes are not allowed {where}"
        if token.kind == CHARACTER:
            return f"character literals are not allowed {where}"
        if (token.kind == NAME and "«" in token.text) or token.text in "«»":
            return f"quoted names are not allowed {where}"
        if token.kind == UNKNOWN and token.text[0] in "\"'«":
            return f"the quote {token.text[0]!r} is not closed; it is not allowed {where}"
        after = found[number + 1] if number + 1 < len(found) else None
        if token.text == "`":
            return f"quotations are not allowed {where}"
        if token.text == "@" and after is not None and after.text == "[":
            return f"attributes (@[) are not allowed {where}"
        if token.text == "$" and (after is None or after.kind != SPACE):
            return f"antiquotations ($) are not allowed {where}; as an operator $ stands before a space"
        if token.text == "#":
            before = [one for one in found[:number] if one.line == token.line and one.kind != SPACE]
            # Lean knows a command by its whole word (`#eval`), wherever it stands: `#s`, a set's size, is none
            if not before or after is None or (after.kind == NAME and len(after.text.split(".")[0]) > 3):
                return f"commands (#) are not allowed {where}"
        if token.kind == NAME and len(token.text) > 3 and after is not None and after.text == "%":
            # `n%2` is a remainder; a longer word with the sign behind it may be code (`with_decl_name%`)
            return f"the sign % right behind {token.text!r} is not allowed {where}; put a space between them"
    return None


def _words(text: str, where: str) -> str | None:
    # Lean reads 0x1sorry as a number and a word: what looks like one identifier to us must be one to Lean
    joined = re.search(r"(?<![\w'!?])\d\w*?[^\W\d]", text)
    if joined:
        return f"the number {joined[0]!r} runs into a word"
    # the second pattern: Lean ends a name before some letters that Python counts as part of it (λ, Σ, other scripts)
    for found in _IDENTIFIER.finditer(text):
        # what a single dot joins to a term is a field (`h.1.def`, `(f x).def`), never a command
        reason = word_refusal(found[0], where, field=_is_field(text, found.start()))
        if reason:
            return reason
    at = 0
    for token in tokens(text):  # and as Lean reads it: `Σ.macro` is a sign, a dot and a word
        if token.kind == NAME:
            reason = word_refusal(token.text, where, field=_is_field(text, at))
            if reason:
                return reason
        at += len(token.text)
    for found in _ASCII_NAME.finditer(text):
        glued = found.start() and text[found.start() - 1]
        if not (glued and (glued == "." or goes_on(glued))):
            reason = word_refusal(found[0], where)
            if reason:
                return reason
    return None


def _is_field(text: str, at: int) -> bool:
    return _FIELD.search(text[max(at - 12, 0) : at]) is not None


def word_refusal(name: str, where: str, *, field: bool = False) -> str | None:
    """Why a name, dots and all, may not stand in a text; ``field``: it is joined by a dot to what stands before it."""
    behind = next((word for word in _BEHIND.findall(name) if word in WORDS or word.startswith(STARTS)), None)
    if behind:
        return f"the word {behind!r} is not allowed {where}"
    parts = unicodedata.normalize("NFKC", name).split(".")
    first = 1 if parts[0] == "_root_" and len(parts) > 1 else 0
    for number, part in enumerate(parts):
        words = {part, part.rstrip("?!'")}
        # behind a dot a word is a name like any other (Set.Subset.def); what admits a goal is refused there too
        if words & ADMITTING or (number <= first and not field and (words & WORDS or part.startswith(STARTS))):
            return f"the word {part!r} is not allowed {where}"
    if not field and parts[first] in ("Lean", "IO", "System"):
        return f"the name {name!r} is not allowed {where}"
    if re.fullmatch(r"lc[A-Z]\w*", parts[-1]):
        return f"the name {name!r} is not allowed {where}"
    return None


def _brackets(text: str) -> str | None:
    waiting: list[str] = []
    for character in text:
        if character in OPENING:
            waiting.append(OPENING[character])
        elif character in OPENING.values() and (not waiting or waiting.pop() != character):
            return f"the bracket {character!r} closes nothing"
    return f"a bracket is not closed ({waiting[-1]!r} is missing)" if waiting else None
