#include "streamer.h"

#include <algorithm>
#include <chrono>

namespace smartmem {
namespace {

constexpr uint64_t kReadLimitNs = uint64_t{30} * 1000 * 1000 * 1000;
// How often whoever waits looks whether it shall stop.
constexpr uint64_t kLookNs = 20 * 1000 * 1000;

// Thrown where the thread shall end, and nothing is wrong.
struct Stopped {};

int64_t deadline(uint64_t timeout_ns) {
  const int64_t now = host_nanoseconds();
  const auto most = static_cast<uint64_t>(INT64_MAX - now);
  return timeout_ns >= most ? INT64_MAX : now + static_cast<int64_t>(timeout_ns);
}

}  // namespace

Streamer::Streamer(DevicePtr device, std::shared_ptr<const Archive> archive,
                   std::shared_ptr<const Slots> slots, const StreamPlan& plan)
    : device_(std::move(device)),
      archive_(std::move(archive)),
      slots_(std::move(slots)),
      loads_(slots_->loads()),
      step_count_(static_cast<uint32_t>(plan.steps.size())),
      has_stays_(!plan.stays.empty()),
      pool_(device_, QueueKind::kCopy),
      steps_(device_),
      copies_(device_),
      is_loaded_(loads_.size(), false),
      copied_(loads_.size(), 0),
      read_limit_ns_(kReadLimitNs) {
  needed_.assign(step_count_, 0);
  for (uint32_t number = 0; number < loads_.size(); ++number) {
    needed_[loads_[number].first] = number + 1;
  }
  for (uint32_t step = 1; step < step_count_; ++step) {
    needed_[step] = std::max(needed_[step], needed_[step - 1]);
  }
  cut_chunks();
}

Streamer::~Streamer() {
  // Only what this has submitted: whoever owns the steps has waited for them.
  try {
    copies_.wait(SM_WAIT_BLOCK, UINT64_MAX);
  } catch (const Error&) {
    // A lost device has stopped working, too.
  }
}

void Streamer::begin_thread() {
  if (thread_.joinable()) thread_.join();
  is_running_ = true;
  // It keeps all that it uses, so that a read that hangs holds nobody up.
  thread_ = std::thread([self = shared_from_this()] { self->work(); });
}

void Streamer::work() {
  std::optional<Error> failure;
  try {
    uint64_t call = 0;
    do {
      load_all(call);
    } while (has_stays_ && ++call > 0);
  } catch (const Stopped&) {
  } catch (const Error& error) {
    failure = error;
  } catch (const std::exception& error) {
    failure = Error(SM_DEVICE_FAILED, error.what());
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failure && !failure_) failure_ = failure;
  reading_since_ns_ = 0;
  is_running_ = false;
  changed_.notify_all();
}

void Streamer::load_all(uint64_t call) {
  for (uint32_t number = 0; number < loads_.size(); ++number) {
    if (!is_loaded_[number]) load(number, call);
    const std::lock_guard<std::mutex> lock(mutex_);
    require_running();
    is_loaded_[number] = loads_[number].is_pinned;
    loaded_call_ = call;
    loaded_count_ = number + 1;
    pump();
  }
  // Where all weights stay, nothing is read any more.
  if (!has_stays_) wait_for(copies_, copies_.submitted());
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!has_stays_) staging_.reset();
  loaded_call_ = has_stays_ ? call + 1 : UINT64_MAX;
  loaded_count_ = 0;
  pump();
}

void Streamer::load(uint32_t number, uint64_t call) {
  const StreamLoad& load = loads_[number];
  CheckedReader reader(*archive_, *load.entry);
  std::optional<uint64_t> after;
  for (uint32_t i = first_chunk_[number]; i < first_chunk_[number + 1]; ++i) {
    Chunk& chunk = chunks_[i];
    if (is_staged(load)) {
      // What is read ahead needs no place yet.
      wait_for(copies_, piece_value_[chunk.piece]);
      take_timestamps(chunk);
      fill(chunk, reader);
      if (!after) after = wait_for_release(load, call);
      send(chunk, *after);
    } else {
      if (!after) {
        after = wait_for_release(load, call);
        wait_for(steps_, *after);
      }
      fill(chunk, reader);
    }
  }
}

void Streamer::fill(Chunk& chunk, CheckedReader& reader) {
  const StreamLoad& load = loads_[chunk.load];
  uint8_t* target = load.mapped != nullptr ? load.mapped + chunk.offset
                                           : staging_->mapped() + chunk.piece * piece_bytes_;
  const int64_t start = host_nanoseconds();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    require_running();
    const uint64_t place = load.entry->offset + chunk.offset;
    reading_ = text("bytes ", place, " to ", place + chunk.size, " (of the weight '",
                    load.entry->key, "')");
    reading_since_ns_ = start;
  }
  reader.read(target, chunk.size);
  const int64_t end = host_nanoseconds();
  const std::lock_guard<std::mutex> lock(mutex_);
  reading_since_ns_ = 0;
  counts_.reads += 1;
  counts_.read_bytes += chunk.size;
  counts_.read_ms += static_cast<double>(end - start) * 1e-6;
  reads_.push_back({SM_INTERVAL_READ, chunk.load, start, end});
  if (reads_.size() > kMostIntervals) reads_.pop_front();
}

void Streamer::send(Chunk& chunk, uint64_t after) {
  const auto number = static_cast<uint32_t>(&chunk - chunks_.data());
  const bool by_host = device_->families().size() > 1;
  const std::lock_guard<std::mutex> lock(mutex_);
  require_running();
  if (by_host) copy_clock_->reset_now(2 * number, 2);
  std::vector<Timeline::After> waits;
  if (after > 0) waits.push_back({steps_, after});
  copies_.submit(chunk.copy, QueueKind::kCopy, waits);
  chunk.copied = copies_.submitted();
  chunk.is_timed = copy_clock_->is_there();
  piece_value_[chunk.piece] = chunk.copied;
  copied_[chunk.load] = chunk.copied;
}

uint64_t Streamer::wait_for_release(const StreamLoad& load, uint64_t call) {
  if (load.is_pinned) return 0;
  const int64_t step = static_cast<int64_t>(call * step_count_) + load.release;
  if (step < 0) return 0;
  const auto done = static_cast<uint64_t>(step) + 1;
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] {
    const uint64_t submitted = calls_ == 0 ? 0 : (calls_ - 1) * step_count_ + next_step_;
    return is_stopped_ || submitted >= done;
  });
  require_running();
  return first_value_ + done;
}

void Streamer::wait_for(const Timeline& timeline, uint64_t value) {
  while (value > 0 && !timeline.reaches(value, kLookNs)) {
    const std::lock_guard<std::mutex> lock(mutex_);
    require_running();
  }
}

void Streamer::require_running() const {
  if (is_stopped_) throw Stopped{};
}

// Steps that have all they need, up to one that has not.
void Streamer::pump() {
  if (!is_called_ || failure_ || is_stopped_) return;
  while (!is_submitted() && is_ready(next_step_)) {
    const uint32_t first = next_step_ == 0 ? 0 : needed_[next_step_ - 1];
    uint64_t copied = 0;
    for (uint32_t i = first; i < needed_[next_step_]; ++i) copied = std::max(copied, copied_[i]);
    std::vector<Timeline::After> waits;
    if (copied > 0) waits.push_back({copies_, copied});
    if (waiting_since_ns_ > 0) {
      counts_.stall_ms += static_cast<double>(host_nanoseconds() - waiting_since_ns_) * 1e-6;
      waiting_since_ns_ = 0;
    }
    steps_.submit(current_[next_step_], QueueKind::kCompute, waits);
    next_step_ += 1;
    changed_.notify_all();
  }
  if (!is_submitted() && waiting_since_ns_ == 0) waiting_since_ns_ = host_nanoseconds();
}

bool Streamer::is_ready(uint32_t step) const {
  if (loaded_call_ != calls_ - 1) return loaded_call_ > calls_ - 1;
  return loaded_count_ >= needed_[step];
}

void Streamer::submit(std::vector<VkCommandBuffer> steps) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (is_called_) fail(SM_INVALID_ARGUMENT, "the last call has not finished");
  if (failure_ || is_stopped_) {
    end_thread(lock);
    restart();
  }
  const bool is_done = loaded_call_ == UINT64_MAX;
  if (!is_running_ && !is_done && !loads_.empty()) begin_thread();
  if (loads_.empty()) loaded_call_ = UINT64_MAX;
  // Intervals are kept for this call and the one before.
  current_ = std::move(steps);
  calls_ += 1;
  next_step_ = 0;
  is_called_ = true;
  waiting_since_ns_ = 0;
  pump();
}

// As at first, but pinned weights that are there stay.
void Streamer::restart() {
  steps_.wait(SM_WAIT_BLOCK, UINT64_MAX);
  copies_.wait(SM_WAIT_BLOCK, UINT64_MAX);
  failure_.reset();
  is_stopped_ = false;
  first_value_ = steps_.submitted();
  calls_ = 0;
  next_step_ = 0;
  loaded_call_ = 0;
  loaded_count_ = 0;
}

// By the clock that people set: Android learned late to wait by another. It does for so short a time.
void Streamer::wait_a_little(std::unique_lock<std::mutex>& lock, uint64_t nanoseconds) {
  changed_.wait_until(lock, std::chrono::system_clock::now() +
                                std::chrono::microseconds(nanoseconds / 1000 + 1));
}

void Streamer::end_thread(std::unique_lock<std::mutex>& lock) {
  is_stopped_ = true;
  changed_.notify_all();
  const int64_t until = deadline(read_limit_ns_);
  while (is_running_ && host_nanoseconds() < until) wait_a_little(lock, kLookNs);
  if (!is_running_) {
    lock.unlock();
    if (thread_.joinable()) thread_.join();
    lock.lock();
    return;
  }
  fail(SM_TIMEOUT, archive_->path(), ": ", reading_, " still have not come");
}

void Streamer::wait(sm_wait how, uint64_t timeout_ns) {
  const int64_t until = deadline(timeout_ns);
  std::unique_lock<std::mutex> lock(mutex_);
  if (!is_called_) return;
  while (!is_submitted() && !failure_) {
    const int64_t now = host_nanoseconds();
    const bool is_stuck = reading_since_ns_ > 0 &&
                          static_cast<uint64_t>(now - reading_since_ns_) > read_limit_ns_;
    if (is_stuck) {
      failure_ = Error(SM_TIMEOUT, text(archive_->path(), ": ", reading_, " did not come within ",
                                        static_cast<double>(read_limit_ns_) * 1e-9, " s"));
      break;
    }
    if (now >= until) {
      fail(SM_TIMEOUT, "the call took too long; it waits for weights of ", archive_->path());
    }
    const uint64_t slice = std::min({kLookNs, static_cast<uint64_t>(until - now), read_limit_ns_});
    wait_a_little(lock, slice);
  }
  settle(lock, how, until);
}

// The GPU's part of the call; then it is over.
void Streamer::settle(std::unique_lock<std::mutex>& lock, sm_wait how, int64_t deadline_ns) {
  const std::optional<Error> failure = failure_;
  const uint64_t value = first_value_ + (calls_ - 1) * step_count_ + next_step_;
  const bool polls = how == SM_WAIT_POLL;
  lock.unlock();
  bool is_there = value == 0;
  while (!is_there) {
    const int64_t now = host_nanoseconds();
    const auto left = static_cast<uint64_t>(std::max<int64_t>(deadline_ns - now, 0));
    is_there = steps_.reaches(value, polls ? 0 : std::min<uint64_t>(left, 1000 * kLookNs));
    if (!is_there && now >= deadline_ns) fail(SM_TIMEOUT, "the device took too long while computing");
  }
  lock.lock();
  is_called_ = false;
  if (!failure) return;
  is_stopped_ = true;
  changed_.notify_all();
  throw *failure;
}

void Streamer::cancel() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!is_called_ || is_submitted()) return;
  if (!failure_) failure_ = Error(SM_CANCELLED, "the call was cancelled");
  changed_.notify_all();
}

bool Streamer::is_idle() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !is_called_;
}

void Streamer::close() {
  std::unique_lock<std::mutex> lock(mutex_);
  try {
    end_thread(lock);
  } catch (const Error&) {
    // It keeps what it needs, and gives it back when the read returns.
    thread_.detach();
  }
  try {
    steps_.wait(SM_WAIT_BLOCK, UINT64_MAX);
    copies_.wait(SM_WAIT_BLOCK, UINT64_MAX);
  } catch (const Error&) {
    // A lost device has stopped working, too.
  }
}

void Streamer::set_read_limit(uint64_t nanoseconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  read_limit_ns_ = nanoseconds;
}

uint64_t Streamer::staging_bytes() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return staging_ == nullptr ? 0 : staging_->size();
}

StreamCounts Streamer::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

}  // namespace smartmem
