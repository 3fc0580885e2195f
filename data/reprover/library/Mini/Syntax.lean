prelude
import Mini.Core
/-!
# Syntax: notation and tactics

The parsers, macros and printers themselves are inside the engine; they are switched on by declaring a constant under the
name by which the front end knows them (the value written here, `stub`, is never run: the engine's own is preferred).
What is not switched on does not exist: there is no `sorry`, no `native_decide`, no `run_tac`.
-/
set_option autoImplicit false

@[extern "l_Lean_Name_mkStr4"] axiom Lean.Name.mkStr4 (s t u v : String) : Lean.Name
@[extern "l_Lean_Name_mkStr3"] axiom Lean.Name.mkStr3 (s t u : String) : Lean.Name
@[extern "l_Lean_Name_mkStr2"] axiom Lean.Name.mkStr2 (s t : String) : Lean.Name
@[extern "l_Lean_Name_mkStr1"] axiom Lean.Name.mkStr1 (s : String) : Lean.Name
/-- What `declare_syntax_cat` leaves behind. -/
structure Lean.Parser.Category where

/-- How the parser is told of a notation; the constructors stand in the order in which the engine counts them. -/
inductive Lean.ParserDescr where
  | const (name : Lean.Name)
  | unary (name : Lean.Name) (p : Lean.ParserDescr)
  | binary (name : Lean.Name) (p₁ p₂ : Lean.ParserDescr)
  | node (kind : Lean.Name) (prec : Nat) (p : Lean.ParserDescr)
  | trailingNode (kind : Lean.Name) (prec lhsPrec : Nat) (p : Lean.ParserDescr)
  | symbol (val : String)
  | nonReservedSymbol (val : String) (includeIdent : Bool)
  | cat (catName : Lean.Name) (rbp : Nat)
  | parser (declName : Lean.Name)
  | nodeWithAntiquot (name : String) (kind : Lean.Name) (p : Lean.ParserDescr)
  | sepBy (p : Lean.ParserDescr) (sep : String) (psep : Lean.ParserDescr) (allowTrailingSep : Bool)
  | sepBy1 (p : Lean.ParserDescr) (sep : String) (psep : Lean.ParserDescr) (allowTrailingSep : Bool)
  | unicodeSymbol (val asciiVal : String) (preserveForPP : Bool)
abbrev Lean.TrailingParserDescr := Lean.ParserDescr
/-- Three boxed arguments are all that the interpreter must know of a macro's type. -/
def Lean.Macro : Type := String → String → String → String
def Lean.PrettyPrinter.Unexpander : Type := String → String → String → String

open Lean (ParserDescr TrailingParserDescr Macro)
open Lean.PrettyPrinter (Unexpander)
def stub : ParserDescr := .symbol ""

/-! Operators: parser, meaning, printer. -/
@[term_parser] def «term_=_» : TrailingParserDescr := stub
@[macro «term_=_»] def «_aux_Init_Notation___macroRules_term_=__2» : Macro := fun a _ _ => a
@[app_unexpander Eq] def _aux_Init_Notation___unexpand_Eq_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_+_» : TrailingParserDescr := stub
@[macro «term_+_»] def «_aux_Init_Notation___macroRules_term_+__2» : Macro := fun a _ _ => a
@[app_unexpander HAdd.hAdd] def _aux_Init_Notation___unexpand_HAdd_hAdd_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_-_» : TrailingParserDescr := stub
@[macro «term_-_»] def «_aux_Init_Notation___macroRules_term_-__2» : Macro := fun a _ _ => a
@[app_unexpander HSub.hSub] def _aux_Init_Notation___unexpand_HSub_hSub_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_*_» : TrailingParserDescr := stub
@[macro «term_*_»] def «_aux_Init_Notation___macroRules_term_*__2» : Macro := fun a _ _ => a
@[app_unexpander HMul.hMul] def _aux_Init_Notation___unexpand_HMul_hMul_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_++_» : TrailingParserDescr := stub
@[macro «term_++_»] def «_aux_Init_Notation___macroRules_term_++__2» : Macro := fun a _ _ => a
@[app_unexpander HAppend.hAppend] def _aux_Init_Notation___unexpand_HAppend_hAppend_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_≤_» : TrailingParserDescr := stub
@[macro «term_≤_»] def «_aux_Init_Notation___macroRules_term_≤__2» : Macro := fun a _ _ => a
@[app_unexpander LE.le] def _aux_Init_Notation___unexpand_LE_le_2 : Unexpander := fun a _ _ => a
@[term_parser] def «term_<_» : TrailingParserDescr := stub
@[macro «term_<_»] def «_aux_Init_Notation___macroRules_term_<__2» : Macro := fun a _ _ => a
@[app_unexpander LT.lt] def _aux_Init_Notation___unexpand_LT_lt_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_≥_» : TrailingParserDescr := stub
@[macro «term_≥_»] def «_aux_Init_Notation___macroRules_term_≥__2» : Macro := fun a _ _ => a
@[app_unexpander GE.ge] def _aux_Init_Notation___unexpand_GE_ge_2 : Unexpander := fun a _ _ => a
@[term_parser] def «term_>_» : TrailingParserDescr := stub
@[macro «term_>_»] def «_aux_Init_Notation___macroRules_term_>__2» : Macro := fun a _ _ => a
@[app_unexpander GT.gt] def _aux_Init_Notation___unexpand_GT_gt_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_∧_» : TrailingParserDescr := stub
@[macro «term_∧_»] def «_aux_Init_Notation___macroRules_term_∧__1» : Macro := fun a _ _ => a
@[app_unexpander And] def _aux_Init_Notation___unexpand_And_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_∨_» : TrailingParserDescr := stub
@[macro «term_∨_»] def «_aux_Init_Notation___macroRules_term_∨__1» : Macro := fun a _ _ => a
@[app_unexpander Or] def _aux_Init_Notation___unexpand_Or_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_↔_» : TrailingParserDescr := stub
@[macro «term_↔_»] def «_aux_Init_Core___macroRules_term_↔__1» : Macro := fun a _ _ => a
@[app_unexpander Iff] def _aux_Init_Core___unexpand_Iff_2 : Unexpander := fun a _ _ => a
@[term_parser] def «term_≠_» : TrailingParserDescr := stub
@[macro «term_≠_»] def «_aux_Init_Core___macroRules_term_≠__2» : Macro := fun a _ _ => a
@[app_unexpander Ne] def _aux_Init_Core___unexpand_Ne_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_∈_» : TrailingParserDescr := stub
@[macro «term_∈_»] def «_aux_Init_Notation___macroRules_term_∈__1» : Macro := fun a _ _ => a
@[app_unexpander Membership.mem] def _aux_Init_Notation___unexpand_Membership_mem_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_::_» : TrailingParserDescr := stub
@[macro «term_::_»] def «_aux_Init_Notation___macroRules_term_::__1» : Macro := fun a _ _ => a
@[app_unexpander List.cons] def _aux_Init_Notation___unexpand_List_cons_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_×_» : TrailingParserDescr := stub
@[macro «term_×_»] def «_aux_Init_Notation___macroRules_term_×__1» : Macro := fun a _ _ => a
@[app_unexpander Prod] def _aux_Init_Notation___unexpand_Prod_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_∘_» : TrailingParserDescr := stub
@[macro «term_∘_»] def «_aux_Init_Notation___macroRules_term_∘__1» : Macro := fun a _ _ => a
@[app_unexpander Function.comp] def _aux_Init_Notation___unexpand_Function_comp_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_&&_» : TrailingParserDescr := stub
@[macro «term_&&_»] def «_aux_Init_Notation___macroRules_term_&&__1» : Macro := fun a _ _ => a
@[app_unexpander Bool.and] def _aux_Init_Notation___unexpand_Bool_and_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term_||_» : TrailingParserDescr := stub
@[macro «term_||_»] def «_aux_Init_Notation___macroRules_term_||__1» : Macro := fun a _ _ => a
@[app_unexpander Bool.or] def _aux_Init_Notation___unexpand_Bool_or_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term¬_» : ParserDescr := stub
@[macro «term¬_»] def «_aux_Init_Notation___macroRules_term¬__1» : Macro := fun a _ _ => a
@[app_unexpander Not] def _aux_Init_Notation___unexpand_Not_1 : Unexpander := fun a _ _ => a
@[term_parser] def «term∃_,_» : ParserDescr := stub
@[macro «term∃_,_»] def «_aux_Init_NotationExtra___macroRules_term∃_,__1» : Macro := fun a _ _ => a
@[term_parser] def termIfThenElse : ParserDescr := stub
@[macro termIfThenElse] def _aux_Init_Notation___macroRules_termIfThenElse_1 : Macro := fun a _ _ => a
@[term_parser] def «term%[_|_]» : ParserDescr := stub
@[macro «term%[_|_]»] def «_aux_Init_NotationExtra___macroRules_term%[_|_]_1» : Macro := fun a _ _ => a
@[term_parser] def «term[_]» : ParserDescr := stub
@[macro «term[_]»] def Lean.«_aux_Init_Data_List_Notation___macroRules_term[_]_1» : Macro := fun a _ _ => a
@[app_unexpander List.nil] def unexpandListNil : Unexpander := fun a _ _ => a
@[app_unexpander List.cons] def unexpandListCons : Unexpander := fun a _ _ => a
@[app_unexpander Exists] def unexpandExists : Unexpander := fun a _ _ => a
@[term_parser] def boolIfThenElse : ParserDescr := stub
@[term_parser] def Lean.calc : ParserDescr := stub

/-! Tactics. -/
def Lean.calcFirstStep : ParserDescr := stub
def Lean.calcStep : ParserDescr := stub
def Lean.calcSteps : ParserDescr := stub
@[tactic_parser] def Lean.calcTactic : ParserDescr := stub
def Lean.cdotTk : ParserDescr := stub
@[tactic_parser] def Lean.cdot : ParserDescr := stub
declare_syntax_cat rcasesPat
declare_syntax_cat rintroPat
def Lean.Parser.Tactic.rcasesPatLo : ParserDescr := stub
def Lean.Parser.Tactic.rcasesPatMed : ParserDescr := stub
@[rcasesPat_parser] def Lean.Parser.Tactic.rcasesPat.clear : ParserDescr := stub
@[rcasesPat_parser] def Lean.Parser.Tactic.rcasesPat.explicit : ParserDescr := stub
@[rcasesPat_parser] def Lean.Parser.Tactic.rcasesPat.ignore : ParserDescr := stub
@[rcasesPat_parser] def Lean.Parser.Tactic.rcasesPat.one : ParserDescr := stub
@[rcasesPat_parser] def Lean.Parser.Tactic.rcasesPat.paren : ParserDescr := stub
@[rcasesPat_parser] def Lean.Parser.Tactic.rcasesPat.tuple : ParserDescr := stub
@[rintroPat_parser] def Lean.Parser.Tactic.rintroPat.one : ParserDescr := stub
@[rintroPat_parser] def Lean.Parser.Tactic.rintroPat.binder : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.decide : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.obtain : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.rcases : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.rintro : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.replace : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.injections : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.split : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.dsimp : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.simpAll : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.renameI : ParserDescr := stub
def Lean.Parser.Tactic.rwRule : ParserDescr := stub
def Lean.Parser.Tactic.rwRuleSeq : ParserDescr := stub
def Lean.Parser.Tactic.location : ParserDescr := stub
def Lean.Parser.Tactic.locationWildcard : ParserDescr := stub
def Lean.Parser.Tactic.locationHyp : ParserDescr := stub
def Lean.Parser.Tactic.elimTarget : ParserDescr := stub
def Lean.Parser.Tactic.inductionAlts : ParserDescr := stub
def Lean.Parser.Tactic.inductionAlt : ParserDescr := stub
def Lean.Parser.Tactic.inductionAltLHS : ParserDescr := stub
def Lean.Parser.Tactic.discharger : ParserDescr := stub
def Lean.Parser.Tactic.simpPre : ParserDescr := stub
def Lean.Parser.Tactic.simpPost : ParserDescr := stub
def Lean.Parser.Tactic.simpLemma : ParserDescr := stub
def Lean.Parser.Tactic.simpErase : ParserDescr := stub
def Lean.Parser.Tactic.simpStar : ParserDescr := stub
def Lean.Parser.Tactic.simpArgs : ParserDescr := stub
def Lean.Parser.Tactic.optConfig : ParserDescr := stub
def Lean.Parser.Tactic.config : ParserDescr := stub
def Lean.Parser.Tactic.configItem : ParserDescr := stub
def Lean.Parser.Tactic.posConfigItem : ParserDescr := stub
def Lean.Parser.Tactic.negConfigItem : ParserDescr := stub
def Lean.Parser.Tactic.valConfigItem : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.intro : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.intros : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.exact : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.apply : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.refine : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.refine' : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.constructor : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.left : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.right : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.cases : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.induction : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.rewriteSeq : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.rwSeq : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.injection : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.contradiction : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.assumption : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.skip : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.subst : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.unfold : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.change : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.case : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.first : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.focus : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.anyGoals : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.allGoals : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.fail : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.done : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.rotateRight : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.revert : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.tacticTry_ : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.tacticHave__ : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.generalize : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.specialize : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.clear : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.simp : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.«tacticExists_,,» : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.tacticRfl : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.eqRefl : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.applyRfl : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.paren : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.withReducible : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.tacticExfalso : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.tacticTrivial : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.tacticRefine_lift_ : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.tacticRefine_lift'_ : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.«tacticNext_=>_» : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.tacticSuffices_ : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.show : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.repeat' : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.tacticRepeat_ : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.symm : ParserDescr := stub
@[tactic_parser] def Lean.Parser.Tactic.«tactic_<;>_» : TrailingParserDescr := stub
@[macro Lean.Parser.Tactic.tacticRfl] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticRfl_1 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticRfl] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticRfl_2 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticRfl] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticRfl_3 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.rwSeq] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_rwSeq_1 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticHave__] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticHave___1 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticTry_] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTry__1 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.«tactic_<;>_»] def Lean.Parser.Tactic.«_aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tactic_<;>__1» : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.«tacticExists_,,»] def Lean.Parser.Tactic.«_aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticExists_,,_1» : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticExfalso] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticExfalso_1 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticTrivial] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTrivial_1 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticTrivial] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTrivial_2 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticTrivial] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTrivial_3 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticTrivial] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTrivial_4 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticTrivial] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTrivial_5 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticTrivial] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticTrivial_6 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.«tacticNext_=>_»] def Lean.Parser.Tactic.«_aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticNext_=>__1» : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticRefine_lift_] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticRefine_lift__1 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticRefine_lift'_] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticRefine_lift'__1 : Macro := fun a _ _ => a
@[macro Lean.Parser.Tactic.tacticSuffices_] def Lean.Parser.Tactic._aux_Init_Tactics___macroRules_Lean_Parser_Tactic_tacticSuffices__1 : Macro := fun a _ _ => a
@[tactic_parser] def tacticFunext___ : ParserDescr := stub
@[macro tacticFunext___] def _aux_Init_NotationExtra___macroRules_tacticFunext____1 : Macro := fun a _ _ => a
