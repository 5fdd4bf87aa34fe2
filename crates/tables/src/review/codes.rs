//! The codes of this room.

/// K0330: a key of a kind that the table is never asked for.
pub(super) const NEVER_ASKED: u16 = 330;
/// K0331: a key in a form that no key comes in.
pub(super) const NO_SUCH_FORM: u16 = 331;
/// K0332: an action that access(5) doesn't know.
pub(super) const UNKNOWN_ACTION: u16 = 332;
/// K0333: a reply code alone, which means OK.
pub(super) const NUMBER_ALONE: u16 = 333;
/// K0334: an action that can do nothing here.
pub(super) const IDLE_ACTION: u16 = 334;
/// K0335: an access table's action in a table of another sort.
pub(super) const ACTION_ELSEWHERE: u16 = 335;
/// K0336: a line that an indentation made part of the line before it.
pub(super) const SWALLOWED: u16 = 336;
/// K0337: a remark behind a value.
pub(super) const REMARK: u16 = 337;
/// K0338: a rule that is never reached.
pub(super) const SHADOWED: u16 = 338;
/// K0339: every `Received:` header is removed.
pub(super) const LOOPS: u16 = 339;
/// K0340: a pattern that takes exponential time.
pub(super) const BACKTRACKS: u16 = 340;
/// K0341: a flag that turns off what it is thought to turn on.
pub(super) const CASE_FLAG: u16 = 341;
/// K0342: OK where OK is forbidden.
pub(super) const OK_FORBIDDEN: u16 = 342;
/// K0343: an action that header_checks(5) doesn't know, or not there.
pub(super) const UNKNOWN_CHECK: u16 = 343;
/// K0344: aliases that lead back to themselves.
pub(super) const ALIAS_LOOP: u16 = 344;
/// K0345: a command or file as the target of an address that takes none, or without its quotes.
pub(super) const COMMAND: u16 = 345;
/// K0346: a transport that master.cf doesn't have.
pub(super) const NO_TRANSPORT: u16 = 346;
/// K0347: a host as the next hop without brackets.
pub(super) const NO_BRACKETS: u16 = 347;
/// K0348: a domain in two address classes.
pub(super) const TWO_CLASSES: u16 = 348;
/// K0349: a text newer than the database that Postfix reads.
pub(super) const TEXT_NEWER: u16 = 349;
/// K0350: a byte order mark.
pub(super) const BYTE_ORDER_MARK: u16 = 350;
/// K0351: a backslash at the end of a line.
pub(super) const BACKSLASH: u16 = 351;
/// K0352: a table of recipients without a line.
pub(super) const NO_RECIPIENTS: u16 = 352;
/// K0353: a value that the parameter can't use.
pub(super) const BAD_VALUE: u16 = 353;
/// K0354: a catch-all.
pub(super) const CATCH_ALL: u16 = 354;
/// K0355: nobody reads postmaster's mail.
pub(super) const NO_POSTMASTER: u16 = 355;
/// K0356: a table whose type fits no key of its use.
pub(super) const WRONG_TYPE: u16 = 356;
/// K0357: a next hop that can't be read.
pub(super) const BAD_NEXT_HOP: u16 = 357;
/// K0467: what is to be a client's milters is none.
pub(super) const NO_MILTER: u16 = 467;
