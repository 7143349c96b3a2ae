//! Reads the variable segments of a request's path.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;

use crate::admin::problem::bad_request;

/// Parses a segment of the path.
pub(super) fn segment<T>(member: &str, path: Result<Path<String>, PathRejection>) -> Result<T, Response>
where
    T: FromStr<Err: Display>,
{
    let Path(text) = path.map_err(|rejection| bad_request(format!("`{member}`: {rejection}")))?;
    text.parse().map_err(|error| bad_request(format!("`{member}`: {error}")))
}
