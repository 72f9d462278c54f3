//! What holds where a profile says nothing.

pub(super) fn timeout_s() -> u64 {
    30
}

pub(super) fn give_up_h() -> u64 {
    24
}

pub(super) fn schedule_s() -> Vec<u64> {
    vec![5, 10, 15, 60, 300, 900]
}

pub(super) fn tolerance_s() -> u64 {
    300
}
