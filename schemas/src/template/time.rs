//! Times, and Go's layouts of them: the reference time `Mon Jan 2 15:04:05 2006`, written as the result should look.

use crate::template::problem::Problem;

/// Time that `toDate` parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Time {
    /// The engine assumes the machine's zone for a time without one; this clock is printed in the same zone, so it is
    /// unchanged.
    pub(super) clock: Clock,
}

impl Time {
    /// Fails: `print` shows the machine's zone.
    pub(super) fn shown(&self) -> Result<String, Problem> {
        Err(zone("printing a time"))
    }
}

pub(super) fn zone(what: &str) -> Problem {
    Problem::Refused(format!("{what} depends on the time zone of the machine that the engine runs on"))
}

/// Date and time of day, without a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    year: i64,
    month: i64,
    day: i64,
    /// Seconds since midnight.
    second: i64,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Field of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperHalf,
    LowerHalf,
    /// Field that depends on the zone, or on fractions of a second.
    Unsupported,
}

/// Fields in the order in which Go looks for them, which matters where one is a prefix of another.
const FIELDS: [(&str, Field); 36] = [
    ("January", Field::LongMonth),
    ("Jan", Field::Month),
    ("Monday", Field::LongWeekday),
    ("Mon", Field::Weekday),
    ("MST", Field::Unsupported),
    ("01", Field::ZeroMonth),
    ("002", Field::ZeroYearDay),
    ("02", Field::ZeroDay),
    ("03", Field::ZeroHour12),
    ("04", Field::ZeroMinute),
    ("05", Field::ZeroSecond),
    ("06", Field::Year),
    ("15", Field::Hour),
    ("1", Field::NumMonth),
    ("2006", Field::LongYear),
    ("2", Field::Day),
    ("_2006", Field::Unsupported),
    ("__2", Field::UnderYearDay),
    ("_2", Field::UnderDay),
    ("3", Field::Hour12),
    ("4", Field::Minute),
    ("5", Field::Second),
    ("PM", Field::UpperHalf),
    ("pm", Field::LowerHalf),
    ("-070000", Field::Unsupported),
    ("-07:00:00", Field::Unsupported),
    ("-0700", Field::Unsupported),
    ("-07:00", Field::Unsupported),
    ("-07", Field::Unsupported),
    ("Z0700", Field::Unsupported),
    ("Z07:00", Field::Unsupported),
    ("Z07", Field::Unsupported),
    (".0", Field::Unsupported),
    (",0", Field::Unsupported),
    (".9", Field::Unsupported),
    (",9", Field::Unsupported),
];

/// Returns the text in front of the next field, the field, and the rest behind it.
fn next(layout: &str) -> (&str, Option<Field>, &str) {
    for (at, _) in layout.char_indices() {
        let rest = layout.get(at..).unwrap_or_default();
        let found = FIELDS.iter().find_map(|(text, field)| Some((*field, rest.strip_prefix(text)?)));
        let Some((field, behind)) = found else { continue };
        // `Jan` and `Mon` are no fields if a lower-case letter follows.
        let goes_on = behind.starts_with(|c: char| c.is_ascii_lowercase());
        if matches!(field, Field::Month | Field::Weekday) && goes_on {
            continue;
        }
        return (layout.get(..at).unwrap_or_default(), Some(field), behind);
    }
    (layout, None, "")
}

fn unsupported() -> Problem {
    Problem::Refused("this layout of a time is not understood here: it has a zone or fractions of a second".to_owned())
}

impl Clock {
    /// Returns the UTC time that many seconds after the start of 1970.
    pub(super) fn from_unix(seconds: i64) -> Self {
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Count days from 1 March of the year 0, so that a leap day is the last day of its year.
        let days = days + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Self { year, month, day, second }
    }

    fn year_day(self) -> i64 {
        (1..self.month).map(|month| days_in(self.year, month)).sum::<i64>() + self.day
    }

    /// Returns the day of the week; 0 is Sunday.
    fn weekday(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let shifted = (self.month + 9) % 12;
        let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        (days + (153 * shifted + 2) / 5 + self.day + 2).rem_euclid(7)
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn name<'n>(names: &[&'n str], at: i64) -> &'n str {
    usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default()
}

/// Formats a time by a layout.
pub(super) fn format(layout: &[u8], clock: Clock, _is_utc: bool) -> Result<String, Problem> {
    let mut rest = std::str::from_utf8(layout).map_err(|_| unsupported())?;
    if !(0..10_000).contains(&clock.year) {
        return Err(Problem::Refused("a year beyond 9999 is not written here".to_owned()));
    }
    let mut out = String::new();
    loop {
        let (before, field, behind) = next(rest);
        out += before;
        let Some(field) = field else { return Ok(out) };
        let Clock { year, month, day, second } = clock;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let half = if hour % 12 == 0 { 12 } else { hour % 12 };
        out += &match field {
            Field::LongMonth => name(&MONTHS, month - 1).to_owned(),
            Field::Month => name(&MONTHS, month - 1).chars().take(3).collect(),
            Field::NumMonth => month.to_string(),
            Field::ZeroMonth => format!("{month:02}"),
            Field::LongWeekday => name(&DAYS, clock.weekday()).to_owned(),
            Field::Weekday => name(&DAYS, clock.weekday()).chars().take(3).collect(),
            Field::Day => day.to_string(),
            Field::UnderDay => format!("{day:2}"),
            Field::ZeroDay => format!("{day:02}"),
            Field::UnderYearDay => format!("{:3}", clock.year_day()),
            Field::ZeroYearDay => format!("{:03}", clock.year_day()),
            Field::Hour => format!("{hour:02}"),
            Field::Hour12 => half.to_string(),
            Field::ZeroHour12 => format!("{half:02}"),
            Field::Minute => minute.to_string(),
            Field::ZeroMinute => format!("{minute:02}"),
            Field::Second => second.to_string(),
            Field::ZeroSecond => format!("{second:02}"),
            Field::LongYear => format!("{year:04}"),
            Field::Year => format!("{:02}", year % 100),
            Field::UpperHalf => if hour >= 12 { "PM" } else { "AM" }.to_owned(),
            Field::LowerHalf => if hour >= 12 { "pm" } else { "am" }.to_owned(),
            Field::Unsupported => return Err(unsupported()),
        };
        rest = behind;
    }
}

/// Parses a time by a layout. Refuses fields that Go does not read digit by digit, except names of months.
pub(super) fn parse(layout: &str, text: &str) -> Result<Clock, Problem> {
    let no = || Problem::Refused("a time is not read by this layout here".to_owned());
    let (mut layout_rest, mut rest) = (layout, text);
    let mut clock = Clock { year: 0, month: 1, day: 1, second: 0 };
    loop {
        let (before, field, behind) = next(layout_rest);
        rest = rest.strip_prefix(before).ok_or_else(no)?;
        let Some(field) = field else { break };
        let mut digits = |count: usize| -> Option<i64> {
            let (head, tail) = rest.split_at_checked(count)?;
            rest = tail;
            head.bytes().all(|byte| byte.is_ascii_digit()).then(|| head.parse().ok()).flatten()
        };
        match field {
            Field::LongYear => clock.year = digits(4).ok_or_else(no)?,
            Field::ZeroMonth => clock.month = digits(2).ok_or_else(no)?,
            Field::ZeroDay => clock.day = digits(2).ok_or_else(no)?,
            Field::Hour => clock.second += digits(2).filter(|hour| *hour < 24).ok_or_else(no)? * 3_600,
            Field::ZeroMinute => clock.second += digits(2).filter(|it| *it < 60).ok_or_else(no)? * 60,
            Field::ZeroSecond => clock.second += digits(2).filter(|it| *it < 60).ok_or_else(no)?,
            Field::LongMonth | Field::Month => {
                let length = |name: &str| if field == Field::Month { 3 } else { name.len() };
                let at = MONTHS.iter().position(|name| rest.get(..length(name)) == name.get(..length(name)));
                let at = at.ok_or_else(no)?;
                rest = rest.get(length(MONTHS.get(at).copied().unwrap_or_default())..).unwrap_or_default();
                clock.month = i64::try_from(at).unwrap_or_default() + 1;
            }
            _ => return Err(no()),
        }
        layout_rest = behind;
    }
    let is_day = (1..=12).contains(&clock.month) && (1..=days_in(clock.year, clock.month)).contains(&clock.day);
    match rest.is_empty() && is_day {
        true => Ok(clock),
        false => Err(no()),
    }
}
