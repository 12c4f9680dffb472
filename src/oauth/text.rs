//! Text that came from a server, made fit for terminals, logs and pages.

/// At most `max` characters of `text`, without control characters and without those that change
/// the direction of text.
pub fn clean(text: &str, max: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .take(max)
        .collect()
}

fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn se_untrusted_strings_escaped() {
        assert_eq!(clean("\u{1b}[31mred\u{7}\r\n\u{202e}x", 80), "[31mredx");
        assert_eq!(clean("abcdef", 3), "abc");
    }
}
