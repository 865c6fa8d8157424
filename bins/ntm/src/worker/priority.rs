use thread_priority::{
    RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// The lowest that there is: before every thread without one, behind every other.
const LOWEST: u8 = 1;

/// Makes this thread one with real-time priority. Where the system refuses that, it works without.
pub(super) fn take() {
    let lowest = ThreadPriorityValue::try_from(LOWEST)
        .map_or(ThreadPriority::Min, ThreadPriority::Crossplatform);
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), lowest, policy) {
        tracing::warn!(
            ?error,
            "packet workers have no real-time priority, which `priority` in [tunnel] asks for: \
             the system refuses it (on Linux it takes CAP_SYS_NICE); they go on without"
        );
    }
}
