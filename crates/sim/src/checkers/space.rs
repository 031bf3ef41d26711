//! *Space*: files take at most 1.5 times what lives in them, and a few segments.

/// Segments of a log beside what lives in it: one that is written, one that is prepared, two in
/// reserve, two spares, and six of leeway before what is dead must have gone.
const SEGMENTS: u64 = 12;

/// Once it is quiet: what is wrong with `file_bytes` of files in `logs` logs, when `live_bytes`
/// live and a segment has `segment_bytes`.
pub(crate) fn look(
    file_bytes: u64,
    live_bytes: u64,
    logs: u64,
    segment_bytes: u64,
) -> Option<String> {
    let most = live_bytes + live_bytes / 2 + logs * SEGMENTS * segment_bytes;
    (file_bytes > most).then(|| {
        format!("the spool takes {file_bytes} bytes for {live_bytes} that live, at most {most}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_half_as_much_again_and_some_segments() {
        assert!(look(15 + SEGMENTS, 10, 1, 1).is_none());
        assert!(look(15 + SEGMENTS + 1, 10, 1, 1).is_some());
    }
}
