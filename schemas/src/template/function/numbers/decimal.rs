//! Decimal fractions, with which Sprig calculates so that `0.1` and `0.2` make `0.3`.

use crate::template::problem::Problem;

/// Digits behind the decimal point that a division keeps.
const PRECISION: u32 = 16;

/// `mantissa` times ten to the power of `exponent`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    mantissa: i128,
    exponent: i32,
}

fn too_large() -> Problem {
    Problem::Refused("a number with so many digits is not computed with here".to_owned())
}

impl Decimal {
    /// Returns the shortest decimal number that reads back as this fraction.
    pub(super) fn from(value: f64) -> Result<Self, Problem> {
        if !value.is_finite() {
            return Err(Problem::Error("infinity and NaN are not computed with".to_owned()));
        }
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let places = digits.split_once('.').map_or(0, |(_, part)| part.len());
        let mantissa = digits.replace('.', "").parse().map_err(|_| too_large())?;
        let exponent: i32 = exponent.parse().map_err(|_| too_large())?;
        Ok(Self { mantissa, exponent: exponent - i32::try_from(places).unwrap_or_default() })
    }

    /// Returns the nearest fraction.
    pub(super) fn fraction(self) -> f64 {
        format!("{}e{}", self.mantissa, self.exponent).parse().unwrap_or_default()
    }

    /// Returns the number's mantissa for a lower exponent.
    fn scaled(self, exponent: i32) -> Option<i128> {
        let power = u32::try_from(self.exponent - exponent).ok()?;
        self.mantissa.checked_mul(10_i128.checked_pow(power)?)
    }

    fn together(self, other: Self, apply: fn(i128, i128) -> Option<i128>) -> Result<Self, Problem> {
        let exponent = self.exponent.min(other.exponent);
        let mantissas = self.scaled(exponent).zip(other.scaled(exponent));
        let mantissa = mantissas.and_then(|(one, other)| apply(one, other)).ok_or_else(too_large)?;
        Ok(Self { mantissa, exponent })
    }

    pub(super) fn add(self, other: Self) -> Result<Self, Problem> {
        self.together(other, i128::checked_add)
    }

    pub(super) fn sub(self, other: Self) -> Result<Self, Problem> {
        self.together(other, i128::checked_sub)
    }

    pub(super) fn mul(self, other: Self) -> Result<Self, Problem> {
        let mantissa = self.mantissa.checked_mul(other.mantissa).ok_or_else(too_large)?;
        Ok(Self { mantissa, exponent: self.exponent + other.exponent })
    }

    /// Returns the quotient, rounded half away from zero.
    pub(super) fn div(self, other: Self) -> Result<Self, Problem> {
        if other.mantissa == 0 {
            return Err(Problem::Error("a number is divided by zero".to_owned()));
        }
        let shift = self.exponent - other.exponent + i32::try_from(PRECISION).unwrap_or_default();
        let power = 10_i128.checked_pow(shift.unsigned_abs()).ok_or_else(too_large)?;
        let (above, below) = match shift >= 0 {
            true => (self.mantissa.checked_mul(power), Some(other.mantissa)),
            false => (Some(self.mantissa), other.mantissa.checked_mul(power)),
        };
        let (above, below) = above.zip(below).ok_or_else(too_large)?;
        let (quotient, rest) = (above / below, above % below);
        let is_up = rest.unsigned_abs().checked_mul(2).ok_or_else(too_large)? >= below.unsigned_abs();
        let sign = if (above < 0) == (below < 0) { 1 } else { -1 };
        let mantissa = if is_up { quotient + sign } else { quotient };
        Ok(Self { mantissa, exponent: -i32::try_from(PRECISION).unwrap_or_default() })
    }
}
