//! Sprig's functions for numbers. As in Sprig, a value that is not a number counts as zero.

mod decimal;

use crate::template::budget::Budget;
use crate::template::format;
use crate::template::function::numbers::decimal::Decimal;
use crate::template::function::{Outcome, any, done, int, text};
use crate::template::literal;
use crate::template::problem::Problem;
use crate::template::value::{Of, Value};

/// Converts a value to an integer. An `int` has 64 bits, as on the engine's machines.
pub(super) fn integer(value: &Value) -> Result<i64, Problem> {
    match value {
        Value::Int(number, _) => Ok(*number),
        Value::Bool(flag) => Ok(i64::from(*flag)),
        Value::Float(number) if number.is_finite() && number.abs() < 9.2e18 => Ok(*number as i64),
        Value::Float(_) => Err(Problem::Refused("a number is too large for an integer".to_owned())),
        Value::Text(text) => {
            let text = std::str::from_utf8(text).unwrap_or_default();
            Ok(literal::integer(without_zeros(text)).unwrap_or_default())
        }
        _ => Ok(0),
    }
}

/// Removes a trailing `.0` and the like.
fn without_zeros(text: &str) -> &str {
    let kept = text.trim_end_matches('0');
    match kept.strip_suffix('.') {
        Some(whole) if kept.len() < text.len() => whole,
        _ => text,
    }
}

pub(super) fn fraction(value: &Value) -> Result<f64, Problem> {
    match value {
        Value::Int(number, _) => Ok(*number as f64),
        Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
        Value::Float(number) => Ok(*number),
        Value::Text(text) => {
            let text = std::str::from_utf8(text).unwrap_or_default();
            let digits = text.trim_start_matches(['+', '-']);
            if digits.starts_with("0x") || digits.starts_with("0X") {
                return Err(Problem::Refused("a hexadecimal number is not read as a fraction here".to_owned()));
            }
            let value = literal::fraction(text).unwrap_or_default();
            let is_overflow = value.is_infinite() && text.contains(|c: char| c.is_ascii_digit());
            Ok(if is_overflow { 0.0 } else { value })
        }
        _ => Ok(0.0),
    }
}

fn integers(values: &[Value]) -> Result<Vec<i64>, Problem> {
    values.iter().map(integer).collect()
}

fn folded(values: &[Value], fold: impl Fn(i64, i64) -> i64) -> Outcome {
    let numbers = integers(values)?;
    let (first, rest) = numbers.split_first().map_or((0, numbers.as_slice()), |(first, rest)| (*first, rest));
    Ok(Value::int64(rest.iter().fold(first, |one, other| fold(one, *other))))
}

fn decimals(first: &Value, rest: &[Value], fold: fn(Decimal, Decimal) -> Result<Decimal, Problem>) -> Outcome {
    let mut value = Decimal::from(fraction(first)?)?;
    for other in rest {
        value = fold(value, Decimal::from(fraction(other)?)?)?;
    }
    Ok(Value::Float(value.fraction()))
}

pub(super) fn add(values: &[Value], _: &mut Budget) -> Outcome {
    folded(values, i64::wrapping_add)
}

pub(super) fn add1(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::int64(integer(&any(values, 0))?.wrapping_add(1)))
}

pub(super) fn sub(values: &[Value], _: &mut Budget) -> Outcome {
    folded(values, i64::wrapping_sub)
}

pub(super) fn mul(values: &[Value], _: &mut Budget) -> Outcome {
    folded(values, i64::wrapping_mul)
}

pub(super) fn div(values: &[Value], _: &mut Budget) -> Outcome {
    divided(values, i64::wrapping_div)
}

pub(super) fn modulo(values: &[Value], _: &mut Budget) -> Outcome {
    divided(values, i64::wrapping_rem)
}

fn divided(values: &[Value], divide: fn(i64, i64) -> i64) -> Outcome {
    match integer(&any(values, 1))? {
        0 => Err(Problem::Error("a number is divided by zero".to_owned())),
        divisor => Ok(Value::int64(divide(integer(&any(values, 0))?, divisor))),
    }
}

pub(super) fn addf(values: &[Value], _: &mut Budget) -> Outcome {
    decimals(&Value::Float(0.0), values, Decimal::add)
}

pub(super) fn add1f(values: &[Value], _: &mut Budget) -> Outcome {
    decimals(&any(values, 0), &[Value::int(1)], Decimal::add)
}

pub(super) fn subf(values: &[Value], _: &mut Budget) -> Outcome {
    decimals(&any(values, 0), values.get(1..).unwrap_or_default(), Decimal::sub)
}

pub(super) fn mulf(values: &[Value], _: &mut Budget) -> Outcome {
    decimals(&any(values, 0), values.get(1..).unwrap_or_default(), Decimal::mul)
}

pub(super) fn divf(values: &[Value], _: &mut Budget) -> Outcome {
    decimals(&any(values, 0), values.get(1..).unwrap_or_default(), Decimal::div)
}

pub(super) fn max(values: &[Value], _: &mut Budget) -> Outcome {
    folded(values, i64::max)
}

pub(super) fn min(values: &[Value], _: &mut Budget) -> Outcome {
    folded(values, i64::min)
}

fn extreme(values: &[Value], choose: fn(f64, f64) -> f64) -> Outcome {
    let numbers: Vec<f64> = values.iter().map(fraction).collect::<Result<_, _>>()?;
    let fold = |one: f64, other: f64| if one.is_nan() || other.is_nan() { f64::NAN } else { choose(one, other) };
    Ok(Value::Float(numbers.into_iter().reduce(fold).unwrap_or_default()))
}

pub(super) fn maxf(values: &[Value], _: &mut Budget) -> Outcome {
    extreme(values, f64::max)
}

pub(super) fn minf(values: &[Value], _: &mut Budget) -> Outcome {
    extreme(values, f64::min)
}

pub(super) fn floor(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Float(fraction(&any(values, 0))?.floor()))
}

pub(super) fn ceil(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Float(fraction(&any(values, 0))?.ceil()))
}

pub(super) fn round(values: &[Value], _: &mut Budget) -> Outcome {
    let limit = match values.get(2) {
        Some(Value::Float(limit)) => *limit,
        _ => 0.5,
    };
    let places = int(values, 1);
    if places.abs() > 22 {
        return Err(Problem::Refused("`round` to so many places is not computed here".to_owned()));
    }
    let power = 10_f64.powi(i32::try_from(places).unwrap_or_default());
    let digits = power * fraction(&any(values, 0))?;
    let rounded = if digits.fract() >= limit { digits.ceil() } else { digits.floor() };
    Ok(Value::Float(rounded / power))
}

pub(super) fn atoi(values: &[Value], _: &mut Budget) -> Outcome {
    let text = std::str::from_utf8(text(values, 0)).unwrap_or_default();
    match text.parse::<i64>() {
        Ok(number) => Ok(Value::int(number)),
        // For a number that is too large, Go returns the nearest one in range.
        Err(_) if is_digits(text) => Ok(Value::int(if text.starts_with('-') { i64::MIN } else { i64::MAX })),
        Err(_) => Ok(Value::int(0)),
    }
}

fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

pub(super) fn to_int(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::int(integer(&any(values, 0))?))
}

pub(super) fn to_int64(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::int64(integer(&any(values, 0))?))
}

pub(super) fn to_float64(values: &[Value], _: &mut Budget) -> Outcome {
    Ok(Value::Float(fraction(&any(values, 0))?))
}

/// Parses an octal number.
pub(super) fn to_decimal(values: &[Value], _: &mut Budget) -> Outcome {
    let shown = format::print(values)?;
    let shown = std::str::from_utf8(&shown).unwrap_or_default();
    Ok(Value::int64(i64::from_str_radix(shown, 8).unwrap_or_default()))
}

/// Returns the numbers from `start` to before `stop`, if they fit the budget.
fn steps(start: i64, stop: i64, step: i64, budget: &mut Budget) -> Result<Vec<i64>, Problem> {
    let is_endless = (stop < start && step >= 0) || (stop >= start && step <= 0);
    if is_endless {
        return Ok(Vec::new());
    }
    let count = (i128::from(stop) - i128::from(start)).unsigned_abs().div_ceil(u128::from(step.unsigned_abs()));
    budget.take(usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(16))?;
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    Ok((0..count).map(|at| start.wrapping_add(at.wrapping_mul(step))).collect())
}

fn numbers(numbers: Vec<i64>) -> Outcome {
    Ok(Value::list_of(numbers.into_iter().map(Value::int).collect(), Of::Int))
}

pub(super) fn until(values: &[Value], budget: &mut Budget) -> Outcome {
    let count = int(values, 0);
    numbers(steps(0, count, if count < 0 { -1 } else { 1 }, budget)?)
}

pub(super) fn until_step(values: &[Value], budget: &mut Budget) -> Outcome {
    numbers(steps(int(values, 0), int(values, 1), int(values, 2), budget)?)
}

pub(super) fn seq(values: &[Value], budget: &mut Budget) -> Outcome {
    let toward = |start: i64, end: i64| if end < start { -1 } else { 1 };
    let found = match values.len() {
        1 => {
            let (end, step) = (int(values, 0), toward(1, int(values, 0)));
            steps(1, end.wrapping_add(step), step, budget)?
        }
        2 => {
            let (start, end) = (int(values, 0), int(values, 1));
            let step = toward(start, end);
            steps(start, end.wrapping_add(step), step, budget)?
        }
        3 => {
            let (start, step, end) = (int(values, 0), int(values, 1), int(values, 2));
            match toward(start, end) {
                -1 if step > 0 => Vec::new(),
                increment => steps(start, end.wrapping_add(increment), step, budget)?,
            }
        }
        _ => Vec::new(),
    };
    done(found.iter().map(i64::to_string).collect::<Vec<_>>().join(" "))
}
