//! Formats fractions as Go's `strconv.FormatFloat` does.

use std::iter;

/// Formats a fraction without its sign. Without a precision, writes as many digits as it takes to read the same number
/// back.
pub(super) fn unsigned(value: f64, form: char, precision: Option<usize>) -> String {
    let value = value.abs();
    if !value.is_finite() {
        return if value.is_nan() { "NaN".to_owned() } else { "Inf".to_owned() };
    }
    match (form, precision) {
        ('e' | 'E', precision) => {
            let (digits, exponent) = digits(value, precision.map(|it| it + 1));
            scientific(&digits, exponent, precision.unwrap_or(digits.len().saturating_sub(1)), form)
        }
        ('f', Some(precision)) => format!("{value:.precision$}"),
        ('f', None) => format!("{value}"),
        (_, precision) => general(value, if form == 'G' { 'E' } else { 'e' }, precision),
    }
}

/// Formats as `%g`: with an exponent if the number is very small or large.
fn general(value: f64, form: char, precision: Option<usize>) -> String {
    let wanted = precision.map(|precision| precision.max(1));
    let (mut digits, exponent) = digits(value, wanted);
    if value == 0.0 {
        digits.clear();
    } else if wanted.is_some() {
        let kept = digits.trim_end_matches('0').len();
        digits.truncate(kept);
    }
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let point = if value == 0.0 { 0 } else { exponent + 1 };
    let mut limit = wanted.map_or(6, |wanted| i64::try_from(wanted).unwrap_or(i64::MAX));
    if wanted.is_some() && limit > count && count >= point {
        limit = count;
    }
    if point - 1 < -4 || point > limit {
        return scientific(&digits, exponent, digits.len().saturating_sub(1), form);
    }
    plain(&digits, point)
}

fn plain(digits: &str, point: i64) -> String {
    if digits.is_empty() {
        return "0".to_owned();
    }
    let zeros = |count: i64| iter::repeat_n('0', usize::try_from(count).unwrap_or_default()).collect::<String>();
    let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    if point <= 0 {
        return format!("0.{}{digits}", zeros(-point));
    }
    if point >= count {
        return format!("{digits}{}", zeros(point - count));
    }
    let (whole, part) = digits.split_at(usize::try_from(point).unwrap_or_default());
    format!("{whole}.{part}")
}

fn scientific(digits: &str, exponent: i64, precision: usize, form: char) -> String {
    let mut letters = digits.chars();
    let first = letters.next().unwrap_or('0');
    let rest: String = letters.chain(iter::repeat('0')).take(precision).collect();
    let point = if precision > 0 { "." } else { "" };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}{form}{sign}{:02}", exponent.abs())
}

/// Returns the significant digits and the exponent of the first. Without a count: the fewest digits that read back as
/// the same number.
fn digits(value: f64, count: Option<usize>) -> (String, i64) {
    let text = match count {
        Some(count) => format!("{value:.*e}", count.saturating_sub(1)),
        None => format!("{value:e}"),
    };
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (digits.replace('.', ""), exponent.parse().unwrap_or_default())
}
