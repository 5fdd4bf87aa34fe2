use super::*;

const GIVEN: Given = Given { time_s: 600, count: 3, factor: 1.0, luck: 0.25 };

/// What Python computes.
#[test]
fn as_python_computes() {
    for (text, expect) in [
        ("ban.Time * (1<<(ban.Count if ban.Count<20 else 20)) * banFactor", Ok(4_800.0)),
        ("ban.Time * math.exp(float(ban.Count+1)*banFactor)/math.exp(1*banFactor)", Ok(12_051.322_153_912_6)),
        ("2.0 / 2.885385", Ok(0.693_148_401_339_855_9)),
        ("-2 ** 2 + 7 // -2 + 7 % -3", Ok(-10.0)),
        ("2 ** 3 ** 2", Ok(512.0)),
        ("1 << 2 + 1", Ok(8.0)),
        ("1 if ban.Count > 3 else 2 if ban.Count == 3 else 3", Ok(2.0)),
        ("not 1 == 2 and 5 or 6", Ok(5.0)),
        ("0 or 6 ^ 3 & 1 | 8", Ok(15.0)),
        ("min(ban.Time, 60, 61.5) + max(1, 2) + abs(-3) + round(2.5) + int(-2.7)", Ok(65.0)),
        ("ban.Time + random.random() * 100 + random.uniform(2, 4)", Ok(627.5)),
        ("math.sqrt(16) + math.log(8, 2) + math.floor(-1.5) + math.ceil(1.2)", Ok(7.0)),
        ("1e3 + .5 + 1.", Ok(1_001.5)),
        ("2 ** -1", Ok(0.5)),
        ("7 / 2 + 7.5 // 2 + -7.5 % 2", Ok(7.0)),
        ("1 / 0", Err(FormulaError::Range)),
        ("1 % 0", Err(FormulaError::Range)),
        ("9 ** 9 ** 9", Err(FormulaError::Range)),
        ("1 << 200", Err(FormulaError::Range)),
        ("0 << 20000", Ok(0.0)),
        ("1.5 << 1", Err(FormulaError::Range)),
        ("math.exp(1000)", Err(FormulaError::Range)),
        ("math.log(-1)", Err(FormulaError::Range)),
        ("", Err(FormulaError::Syntax(0))),
        ("1 +", Err(FormulaError::Syntax(3))),
        ("(1", Err(FormulaError::Syntax(2))),
        ("1 2", Err(FormulaError::Syntax(2))),
        ("1 if 2", Err(FormulaError::Syntax(6))),
        ("max(1)", Err(FormulaError::Syntax(6))),
        ("ban.Time * __import__('os')", Err(FormulaError::Name(11))),
        ("ban.Ip", Err(FormulaError::Name(0))),
        ("é", Err(FormulaError::Syntax(0))),
    ] {
        let found = Formula::new(text).and_then(|formula| formula.value(&GIVEN));
        match (found, expect) {
            (Ok(found), Ok(expect)) => {
                assert!((found - expect).abs() < 1e-9 * expect.abs().max(1.0), "{text}: {found}")
            }
            (found, expect) => assert_eq!(found, expect, "{text}"),
        }
    }
}

/// Nothing that a file can hold makes it hang, overflow the stack or panic.
#[test]
fn hostile_formulas() {
    for text in
        ["(".repeat(1_000), "-".repeat(1_000), "1+".repeat(500), "not ".repeat(250), "2**".repeat(300)]
    {
        assert!(Formula::new(&text).is_err());
    }
    assert_eq!(Formula::new(&"1".repeat(2_000)), Err(FormulaError::Size));
    let pieces = [
        "1", "ban.Time", "(", ")", "+", "**", "//", "<<", "if", "else", "math.exp", ",", "-", "2.5", "not",
        "é",
    ];
    let mut seed = 7_usize;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..seed % 9 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces.get((seed >> 33) % pieces.len()).copied().unwrap_or(""));
            text.push(' ');
        }
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        if let Ok(formula) = Formula::new(&text) {
            let _ = formula.value(&GIVEN);
        }
    }
}
