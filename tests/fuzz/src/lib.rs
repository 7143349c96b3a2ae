//! Readers that the gateway's are compared with, and the input that all of them get.

pub mod events;
pub mod hyper;

/// Divides an input into pieces of two sizes in turn, which its first two bytes tell.
pub fn pieces(input: &[u8]) -> Option<(Pieces<'_>, &[u8])> {
    let ([first, second], text) = input.split_first_chunk()?;
    let sizes = [1 + usize::from(first % 16), 1 + usize::from(second % 64)];
    Some((Pieces { rest: text, sizes }, text))
}

/// Iterator over the pieces of an input.
pub struct Pieces<'a> {
    rest: &'a [u8],
    sizes: [usize; 2],
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (piece, rest) = self.rest.split_at(self.sizes[0].min(self.rest.len()));
        self.rest = rest;
        self.sizes.reverse();
        Some(piece)
    }
}
