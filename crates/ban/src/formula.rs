//! `bantime.formula` and `bantime.factor`: Python's arithmetic, as far as a formula for seconds needs it.
//!
//! A formula is read once into a tree and then computed for each ban: no names but the ban's, no calls but
//! arithmetic's, no loops, so each evaluation ends after as many steps as the formula has parts. Whole numbers stay
//! whole, as Python's do, and one that grows past 96 bits is an error, not a wrong number. T2.18.

use std::fmt;

/// The longest formula.
const FORMULA_BYTES_MAX: usize = 1_024;
/// How deep parentheses and the like may go.
const DEPTH_MAX: usize = 32;
/// Whole numbers stay below this.
const WHOLE_MAX: i128 = 1 << 96;

/// A formula that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    root: Part,
}

/// What a formula may ask about a ban.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Given {
    /// `ban.Time`, seconds.
    pub time_s: i64,
    /// `ban.Count`: how often before.
    pub count: u32,
    /// `banFactor`.
    pub factor: f64,
    /// What `random.random()` is, from 0 up to but not 1.
    pub luck: f64,
}

/// Why a formula can't be read or computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormulaError {
    /// It is too long or nested too deep.
    Size,
    /// Something is wrong from this byte on.
    Syntax(usize),
    /// A name that means nothing here begins at this byte.
    Name(usize),
    /// It divides by zero, or leaves the range of numbers.
    Range,
}

impl fmt::Display for FormulaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormulaError::Size => f.write_str("it is too long"),
            FormulaError::Syntax(at) => write!(f, "it can't be read from its character {} on", at + 1),
            FormulaError::Name(at) => write!(f, "the name at its character {} means nothing here", at + 1),
            FormulaError::Range => f.write_str("it divides by zero, or its numbers grow too large"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Whole(i128),
    Real(f64),
}

use Number::{Real, Whole};

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Number(Number),
    Name(Name),
    Call(Function, Vec<Part>),
    Negative(Box<Part>),
    Not(Box<Part>),
    Pair(&'static str, Box<Part>, Box<Part>),
    /// Condition, then, else.
    Choice(Box<[Part; 3]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Time,
    Count,
    Factor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Exp,
    Log,
    Log2,
    Log10,
    Sqrt,
    Floor,
    Ceil,
    Float,
    Int,
    Abs,
    Round,
    Pow,
    PowReal,
    Min,
    Max,
    Random,
    Uniform,
}

/// Each function, and how many arguments it takes.
const FUNCTIONS: [(&str, Function, usize, usize); 19] = [
    ("math.exp", Function::Exp, 1, 1),
    ("math.log", Function::Log, 1, 2),
    ("math.log2", Function::Log2, 1, 1),
    ("math.log10", Function::Log10, 1, 1),
    ("math.sqrt", Function::Sqrt, 1, 1),
    ("math.floor", Function::Floor, 1, 1),
    ("math.ceil", Function::Ceil, 1, 1),
    ("math.pow", Function::PowReal, 2, 2),
    ("float", Function::Float, 1, 1),
    ("int", Function::Int, 1, 1),
    ("abs", Function::Abs, 1, 1),
    ("round", Function::Round, 1, 1),
    ("pow", Function::Pow, 2, 2),
    ("min", Function::Min, 2, 8),
    ("max", Function::Max, 2, 8),
    ("random.random", Function::Random, 0, 0),
    ("random.uniform", Function::Uniform, 2, 2),
    ("math.fabs", Function::Abs, 1, 1),
    ("math.trunc", Function::Int, 1, 1),
];

/// Operators between two parts, the loosest first.
const LEVELS: [&[&str]; 9] = [
    &["or"],
    &["and"],
    &["==", "!=", "<=", ">=", "<", ">"],
    &["|"],
    &["^"],
    &["&"],
    &["<<", ">>"],
    &["+", "-"],
    &["//", "*", "/", "%"],
];

impl Formula {
    /// Reads a formula.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn new(text: &str) -> Result<Formula, FormulaError> {
        if text.len() > FORMULA_BYTES_MAX {
            return Err(FormulaError::Size);
        }
        let mut reader = Reader { text, at: 0, depth: 0 };
        let root = reader.choice()?;
        reader.space();
        if reader.at < text.len() { Err(FormulaError::Syntax(reader.at)) } else { Ok(Formula { root }) }
    }

    /// Computes it.
    ///
    /// # Errors
    /// [`FormulaError::Range`].
    pub fn value(&self, given: &Given) -> Result<f64, FormulaError> {
        let value = self.root.value(given)?.real();
        if value.is_finite() { Ok(value) } else { Err(FormulaError::Range) }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// The name or keyword that comes next.
    fn word(&self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
        let word = rest.get(..end.unwrap_or(rest.len())).unwrap_or("");
        if word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') { word } else { "" }
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        let is_word = token.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_here = if is_word { self.word() == token } else { self.rest().starts_with(token) };
        self.at += if is_here { token.len() } else { 0 };
        is_here
    }

    fn deeper(&mut self) -> Result<(), FormulaError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(FormulaError::Size) } else { Ok(()) }
    }

    /// `a if b else c`, and what binds tighter.
    fn choice(&mut self) -> Result<Part, FormulaError> {
        self.deeper()?;
        let mut part = self.level(0)?;
        if self.take("if") {
            let condition = self.level(0)?;
            if !self.take("else") {
                return Err(FormulaError::Syntax(self.at));
            }
            part = Part::Choice(Box::new([condition, part, self.choice()?]));
        }
        self.depth -= 1;
        Ok(part)
    }

    fn level(&mut self, level: usize) -> Result<Part, FormulaError> {
        let Some(operators) = LEVELS.get(level) else { return self.signed() };
        if level == 2 && self.take("not") {
            self.deeper()?;
            let part = Part::Not(Box::new(self.level(level)?));
            self.depth -= 1;
            return Ok(part);
        }
        let mut part = self.level(level + 1)?;
        while let Some(operator) = self.operator(operators) {
            // A chain to the left is as deep as it is long.
            self.deeper()?;
            part = Part::Pair(operator, Box::new(part), Box::new(self.level(level + 1)?));
        }
        Ok(part)
    }

    fn operator(&mut self, operators: &[&'static str]) -> Option<&'static str> {
        self.space();
        // `**` binds tighter, `<<` isn't `<`.
        let rest = self.rest();
        let longer = ["**", "<<", ">>"].into_iter().find(|longer| rest.starts_with(longer));
        operators.iter().find(|op| longer.is_none_or(|longer| longer == **op) && self.take(op)).copied()
    }

    fn signed(&mut self) -> Result<Part, FormulaError> {
        self.deeper()?;
        let part = if self.take("-") {
            Part::Negative(Box::new(self.signed()?))
        } else if self.take("+") {
            self.signed()?
        } else {
            let base = self.atom()?;
            if self.take("**") { Part::Pair("**", Box::new(base), Box::new(self.signed()?)) } else { base }
        };
        self.depth -= 1;
        Ok(part)
    }

    fn atom(&mut self) -> Result<Part, FormulaError> {
        self.space();
        let start = self.at;
        if self.take("(") {
            let part = self.choice()?;
            return if self.take(")") { Ok(part) } else { Err(FormulaError::Syntax(self.at)) };
        }
        let word = self.word();
        if word.is_empty() {
            return self.number();
        }
        self.at += word.len();
        let name = match word {
            "ban.Time" => Part::Name(Name::Time),
            "ban.Count" => Part::Name(Name::Count),
            "banFactor" => Part::Name(Name::Factor),
            "math.pi" => Part::Number(Real(std::f64::consts::PI)),
            "math.e" => Part::Number(Real(std::f64::consts::E)),
            "True" => Part::Number(Whole(1)),
            "False" => Part::Number(Whole(0)),
            _ => return self.call(word, start),
        };
        Ok(name)
    }

    fn call(&mut self, word: &str, start: usize) -> Result<Part, FormulaError> {
        let Some((_, function, least, most)) = FUNCTIONS.iter().find(|(name, ..)| *name == word) else {
            return Err(FormulaError::Name(start));
        };
        if !self.take("(") {
            return Err(FormulaError::Syntax(self.at));
        }
        let mut arguments = Vec::new();
        while !self.take(")") {
            if !arguments.is_empty() && !self.take(",") {
                return Err(FormulaError::Syntax(self.at));
            }
            arguments.push(self.choice()?);
            if arguments.len() > *most {
                return Err(FormulaError::Syntax(self.at));
            }
        }
        if arguments.len() < *least {
            return Err(FormulaError::Syntax(self.at));
        }
        Ok(Part::Call(*function, arguments))
    }

    fn number(&mut self) -> Result<Part, FormulaError> {
        let rest = self.rest();
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut end = digits(rest);
        let after = rest.get(end..).unwrap_or("");
        let mut is_whole = true;
        if let Some(fraction) = after.strip_prefix('.') {
            is_whole = false;
            end += 1 + digits(fraction);
        }
        let after = rest.get(end..).unwrap_or("");
        if let Some(power) = after.strip_prefix(['e', 'E']) {
            let sign = usize::from(power.starts_with(['+', '-']));
            let count = digits(power.get(sign..).unwrap_or(""));
            if count > 0 {
                is_whole = false;
                end += 1 + sign + count;
            }
        }
        let text = rest.get(..end).unwrap_or("");
        let number = match (is_whole, text.parse::<i128>(), text.parse::<f64>()) {
            (true, Ok(whole), _) if whole < WHOLE_MAX => Whole(whole),
            (false, _, Ok(real)) => Real(real),
            _ => return Err(FormulaError::Syntax(self.at)),
        };
        self.at += end;
        Ok(Part::Number(number))
    }
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "as Python's float() does it")]
    fn real(self) -> f64 {
        match self {
            Whole(whole) => whole as f64,
            Real(real) => real,
        }
    }

    fn is_true(self) -> bool {
        !matches!(self, Whole(0)) && self.real() != 0.0
    }

    fn whole(self) -> Result<i128, FormulaError> {
        match self {
            Whole(whole) => Ok(whole),
            Real(_) => Err(FormulaError::Range),
        }
    }
}

fn whole_of(real: f64) -> Result<Number, FormulaError> {
    // 2^96 has its place in f64 exactly.
    #[expect(clippy::cast_possible_truncation, reason = "its range is checked")]
    if real.is_finite() && real.abs() < 7e28 { Ok(Whole(real as i128)) } else { Err(FormulaError::Range) }
}

fn bounded(whole: Option<i128>) -> Result<Number, FormulaError> {
    whole.filter(|whole| whole.abs() < WHOLE_MAX).map(Whole).ok_or(FormulaError::Range)
}

impl Part {
    fn value(&self, given: &Given) -> Result<Number, FormulaError> {
        Ok(match self {
            Part::Number(number) => *number,
            Part::Name(Name::Time) => Whole(given.time_s.into()),
            Part::Name(Name::Count) => Whole(given.count.into()),
            Part::Name(Name::Factor) => Real(given.factor),
            Part::Call(function, arguments) => {
                let values = arguments.iter().map(|part| part.value(given));
                function.value(&values.collect::<Result<Vec<Number>, FormulaError>>()?, given.luck)?
            }
            Part::Negative(part) => match part.value(given)? {
                Whole(whole) => Whole(-whole),
                Real(real) => Real(-real),
            },
            Part::Not(part) => Whole((!part.value(given)?.is_true()).into()),
            Part::Choice(parts) => {
                let [condition, then, other] = &**parts;
                if condition.value(given)?.is_true() { then.value(given)? } else { other.value(given)? }
            }
            Part::Pair("or", left, right) => {
                let left = left.value(given)?;
                if left.is_true() { left } else { right.value(given)? }
            }
            Part::Pair("and", left, right) => {
                let left = left.value(given)?;
                if left.is_true() { right.value(given)? } else { left }
            }
            Part::Pair(operator, left, right) => joined(operator, left.value(given)?, right.value(given)?)?,
        })
    }
}

impl Function {
    fn value(self, arguments: &[Number], luck: f64) -> Result<Number, FormulaError> {
        let real = |at: usize| arguments.get(at).map_or(0.0, |number| number.real());
        Ok(match self {
            Function::Exp => Real(real(0).exp()),
            Function::Log if arguments.len() > 1 => Real(real(0).ln() / real(1).ln()),
            Function::Log => Real(real(0).ln()),
            Function::Log2 => Real(real(0).log2()),
            Function::Log10 => Real(real(0).log10()),
            Function::Sqrt => Real(real(0).sqrt()),
            Function::Floor => whole_of(real(0).floor())?,
            Function::Ceil => whole_of(real(0).ceil())?,
            Function::Float => Real(real(0)),
            Function::Int => match arguments.first() {
                Some(Whole(whole)) => Whole(*whole),
                _ => whole_of(real(0).trunc())?,
            },
            Function::Round => match arguments.first() {
                Some(Whole(whole)) => Whole(*whole),
                _ => whole_of(real(0).round_ties_even())?,
            },
            Function::Abs => match arguments.first() {
                Some(Whole(whole)) => Whole(whole.abs()),
                _ => Real(real(0).abs()),
            },
            Function::Pow => match arguments {
                [base, power] => joined("**", *base, *power)?,
                _ => Whole(0),
            },
            Function::PowReal => Real(real(0).powf(real(1))),
            Function::Min | Function::Max => {
                let is_better =
                    |new: f64, old: f64| if self == Function::Min { new < old } else { new > old };
                let better =
                    |old: Number, new: Number| if is_better(new.real(), old.real()) { new } else { old };
                arguments.iter().copied().reduce(better).unwrap_or(Whole(0))
            }
            Function::Random => Real(luck),
            Function::Uniform => Real(real(0) + (real(1) - real(0)) * luck),
        })
    }
}

fn joined(operator: &str, left: Number, right: Number) -> Result<Number, FormulaError> {
    let (x, y) = (left.real(), right.real());
    let truth = |truth: bool| Ok(Whole(truth.into()));
    match operator {
        "==" => return truth(x == y),
        "!=" => return truth(x != y),
        "<=" => return truth(x <= y),
        ">=" => return truth(x >= y),
        "<" => return truth(x < y),
        ">" => return truth(x > y),
        "/" if y == 0.0 => return Err(FormulaError::Range),
        "/" => return Ok(Real(x / y)),
        "|" => return Ok(Whole(left.whole()? | right.whole()?)),
        "^" => return Ok(Whole(left.whole()? ^ right.whole()?)),
        "&" => return Ok(Whole(left.whole()? & right.whole()?)),
        "<<" | ">>" => {
            let (left, by) = (left.whole()?, right.whole()?);
            let by = u32::try_from(by).map_err(|_| FormulaError::Range)?;
            return match operator {
                "<<" if left == 0 => Ok(Whole(0)),
                "<<" if by >= 96 => Err(FormulaError::Range),
                "<<" => bounded(left.checked_mul(1_i128.checked_shl(by).unwrap_or(0))),
                _ => Ok(Whole(left.checked_shr(by).unwrap_or(if left < 0 { -1 } else { 0 }))),
            };
        }
        _ => {}
    }
    match (left, right) {
        (Whole(x), Whole(y)) => bounded(match operator {
            "+" => x.checked_add(y),
            "-" => x.checked_sub(y),
            "*" => x.checked_mul(y),
            "//" => floored(x, y),
            "%" => floored(x, y).and_then(|times| x.checked_sub(times.checked_mul(y)?)),
            _ if y < 0 => return Ok(Real(left.real().powf(right.real()))),
            _ => u32::try_from(y).ok().and_then(|y| x.checked_pow(y)),
        }),
        _ => match operator {
            "+" => Ok(Real(x + y)),
            "-" => Ok(Real(x - y)),
            "*" => Ok(Real(x * y)),
            "//" | "%" if y == 0.0 => Err(FormulaError::Range),
            "//" => Ok(Real((x / y).floor())),
            "%" => Ok(Real(x - y * (x / y).floor())),
            _ => Ok(Real(x.powf(y))),
        },
    }
}

/// Division that rounds down, as Python's does.
fn floored(x: i128, y: i128) -> Option<i128> {
    let (quotient, rest) = (x.checked_div(y)?, x.checked_rem(y)?);
    Some(if rest != 0 && (rest < 0) != (y < 0) { quotient - 1 } else { quotient })
}

#[cfg(test)]
mod tests;
