//! Invariant: content in any chunks is kept as DATA would have brought it, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (size, content) = (usize::from(input.0) + 1, input.1);
    let mut commands = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n".to_vec();
    for chunk in content.chunks(size) {
        commands.extend(format!("BDAT {}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()));
    }
    commands.extend(b"BDAT 0 LAST\r\n");
    let played = fuzz::play(fuzz::session(fuzz::everything()), commands.chunks(size));
    let Some(draft) = played.drafts.first() else { return };
    assert!(draft.is_empty() || draft.ends_with(b"\r\n"));
    let end = [b"\r\n", &draft[..]].concat();
    assert!(!end.windows(5).any(|five| five == b"\r\n.\r\n"), "{}", draft.escape_ascii());
});
