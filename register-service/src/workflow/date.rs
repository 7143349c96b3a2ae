//! Dates that name protocol revisions.

/// True if a text is a calendar date, as `YYYY-MM-DD`.
pub(super) fn is_date(text: &str) -> bool {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range).filter(|it| it.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<u32>().ok()
    };
    let dashes = text.len() == 10 && text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else { return false };
    let is_leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 0,
    };
    dashes && (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_dates_of_the_calendar() {
        for date in ["2025-03-26", "2024-02-29", "2000-02-29"] {
            assert!(is_date(date), "{date}");
        }
        for text in
            ["", "2025-3-26", "2025-02-29", "1900-02-29", "2025-13-01", "2025-00-10", "2025-01-32", "yesterday!"]
        {
            assert!(!is_date(text), "{text}");
        }
    }
}
