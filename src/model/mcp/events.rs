//! What a stream of events says (WHATWG HTML §9.2.6), where all of it is in memory.

/// The data of each event that is complete. What follows the last blank line is not.
pub fn data_of_events(stream: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stream);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let Some((whole, _)) = text.rsplit_once("\n\n") else {
        return Vec::new();
    };
    let data = |event: &str| {
        let lines = event.lines().filter_map(|line| line.strip_prefix("data:"));
        let lines: Vec<_> = lines
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        lines.join("\n")
    };
    whole.split("\n\n").map(data).collect()
}
