//! Rows that nothing in this version brings about. Their numbers and codes stay taken; people are not
//! told of them, since what they would be told to do does not exist.

use super::Code;

const RESERVED: [Code; 4] = [
    Code::Locked,
    Code::ApprovalDenied,
    Code::ToolDenied,
    Code::ClockSkew,
];

impl Code {
    /// Whether only its name is taken.
    pub fn is_reserved(self) -> bool {
        RESERVED.contains(&self)
    }

    /// Those that can happen, in the order of the documentation.
    pub fn possible() -> impl Iterator<Item = Self> {
        let all = Self::ALL.iter().copied();
        all.filter(|code| !code.is_reserved())
    }
}
