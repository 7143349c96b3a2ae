//! Zstandard decoder (RFC 8878) as a writer, around a crate that decodes whole blocks. The crate holds back one window of
//! output until the frame ends, so this decoder is unsuitable for event streams.

use std::io::{self, Read, Write};

use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

/// Maximum length of a frame header.
const MAX_HEADER: usize = 18;
/// Length of a block header.
const BLOCK_HEADER: usize = 3;
const CHECKSUM: usize = 4;
/// Maximum content of a block (RFC 8878, 3.1.1.2.4).
const MAX_BLOCK: usize = 128 * 1024;
/// Maximum accepted window; browsers have the same bound (RFC 9659).
const MAX_WINDOW: u64 = 8 << 20;
const MAGIC: usize = 8;

/// Decodes to another writer.
pub(super) struct Zstd<W> {
    decoder: FrameDecoder,
    inner: W,
    /// Input that is not decoded yet: less than one block.
    pending: Vec<u8>,
    state: FrameState,
    room: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FrameState {
    /// The next bytes are a frame header.
    Header,
    Blocks,
    Checksum,
    /// Remaining bytes of a skippable frame.
    Skip(usize),
}

impl<W: Write> Zstd<W> {
    pub(super) fn new(inner: W) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Self { decoder, inner, pending: Vec::new(), state: FrameState::Header, room: Vec::new() }
    }

    pub(super) fn get_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// Processes the next element of the pending input. Returns true if it was complete.
    fn step(&mut self) -> io::Result<bool> {
        match self.state {
            FrameState::Header => self.begin(),
            FrameState::Blocks => self.block(),
            FrameState::Checksum if self.pending.len() < CHECKSUM => Ok(false),
            FrameState::Checksum => {
                self.pending.drain(..CHECKSUM);
                self.state = FrameState::Header;
                Ok(true)
            }
            FrameState::Skip(length) => {
                let skipped = length.min(self.pending.len());
                self.pending.drain(..skipped);
                self.state = if skipped == length { FrameState::Header } else { FrameState::Skip(length - skipped) };
                Ok(skipped > 0)
            }
        }
    }

    fn begin(&mut self) -> io::Result<bool> {
        let mut rest = self.pending.as_slice();
        match self.decoder.reset(&mut rest) {
            Ok(()) => {
                let taken = self.pending.len() - rest.len();
                self.pending.drain(..taken);
                self.state = FrameState::Blocks;
                Ok(true)
            }
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                self.pending.drain(..MAGIC);
                self.state = FrameState::Skip(usize::try_from(length).map_err(io::Error::other)?);
                Ok(true)
            }
            // The header may be incomplete.
            Err(FrameDecoderError::ReadFrameHeaderError(_)) if self.pending.len() < MAX_HEADER => Ok(false),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    /// Decodes a single block. Given several, the crate would decode all of them into memory without a limit.
    fn block(&mut self) -> io::Result<bool> {
        let &[first, second, third, ..] = self.pending.as_slice() else { return Ok(false) };
        let header = u32::from_le_bytes([first, second, third, 0]);
        let (is_last, kind, size) = (header & 1 == 1, header >> 1 & 3, (header >> 3) as usize);
        if size > MAX_BLOCK {
            return Err(io::Error::other("a block is too large"));
        }
        // A run-length block holds one byte.
        let length = BLOCK_HEADER + if kind == 1 { 1 } else { size };
        let Some(block) = self.pending.get(..length) else { return Ok(false) };
        self.decoder.decode_from_to(block, &mut []).map_err(io::Error::other)?;
        self.pending.drain(..length);
        self.room.resize(MAX_BLOCK, 0);
        loop {
            let count = self.decoder.read(&mut self.room)?;
            if count == 0 {
                break;
            }
            self.inner.write_all(self.room.get(..count).unwrap_or_default())?;
        }
        if is_last {
            self.state = if self.decoder.is_finished() { FrameState::Header } else { FrameState::Checksum };
        }
        Ok(true)
    }
}

impl<W: Write> Write for Zstd<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(piece);
        while !self.pending.is_empty() && self.step()? {}
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
