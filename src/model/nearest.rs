//! What was probably meant by a misspelt name.

/// The candidate nearest to `word`, if one is near enough to be what was meant.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let longest = word.chars().count();
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(away, candidate)| {
            let length = longest.max(candidate.chars().count());
            *away <= (length / 3).max(1) && *away < length
        })
        .min_by_key(|(away, _)| *away)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be added, taken away, replaced or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    const FAR: usize = 64;
    let left: Vec<char> = left.chars().take(FAR).collect();
    let right: Vec<char> = right.chars().take(FAR).collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i; right.len() + 1];
        for j in 1..=right.len() {
            let same = left[i - 1] == right[j - 1];
            row[j] = (last[j - 1] + usize::from(!same))
                .min(last[j] + 1)
                .min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_the_nearest() {
        let names = ["linear", "notion", "github"];
        assert_eq!(nearest("linaer", names), Some("linear"));
        assert_eq!(nearest("notoin", names), Some("notion"));
        assert_eq!(nearest("jira", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest("scope", ["scopes", "issuer"]), Some("scopes"));
    }
}
