#include "serve/engine.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/process/memory.h"
#include "serve/api/request_error.h"

namespace evo::serve {
namespace {

/// How long an idle engine sleeps before it looks at `stop`, which no one can announce.
constexpr auto kIdle = std::chrono::milliseconds(50);

/// How often memory is looked for that can be given back, and how much is, at most: that takes
/// about as long as a pass.
constexpr auto kSaving = std::chrono::seconds(1);
constexpr size_t kSavedAtOnce = size_t{512} << 20;
/// When no text is active, those that ended may keep this part of the cache.
constexpr int64_t kKeptPart = 8;

double seconds_between(Engine::Clock::time_point from, Engine::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// Blocks of keys and values that a text may come to need: those of its tokens, and a copy of one
/// that it shares.
int64_t blocks_of(const Job& job, const decode::Decoder& decoder) {
  const int64_t context = decoder.model().config().max_position_embeddings;
  const int64_t tokens =
      std::min(context, std::ssize(job.prompt.tokens) + job.options.decode.max_tokens);
  return (tokens + ops::kCacheBlock - 1) / ops::kCacheBlock + 1;
}

int64_t tokens_of_pool(const EngineOptions& options, const model::Model& model) {
  const model::ModelConfig& config = model.config();
  const int64_t context = config.max_position_embeddings, most = options.active * context;
  const int64_t one_text = context + 2 * ops::kCacheBlock;
  if (options.cache_tokens > 0) return std::max(options.cache_tokens, one_text);
  const size_t bytes = std::min<size_t>(tensor::physical_memory() / 4, available_memory() / 2);
  const auto fit =
      static_cast<int64_t>(bytes / model::KvPool::token_bytes(config, model.cache_format()));
  return std::max(std::min(most, fit), one_text);
}

Engine::Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Engine::Clock::duration>(
      std::chrono::duration<double>(seconds));
}

}  // namespace

/// What both sides know of a request; guarded by the engine's mutex.
struct Engine::Request {
  std::shared_ptr<std::mutex> mutex;  // the engine's, which a ticket may outlive
  std::deque<Event> events;
  std::condition_variable changed;
  size_t open = 0;  // texts whose last event was not pushed yet
  bool given_up = false;
  bool streamed = true;
  Clock::time_point arrival, deadline;  // do not change
};

struct Engine::Waiting {
  std::shared_ptr<Request> request;
  size_t text = 0;
  Job job;
};

struct Engine::Running {
  Running(Engine& owner, const Waiting& waiting, model::KvCache cache)
      : engine(owner),
        request(waiting.request),
        text(waiting.text),
        blocks(blocks_of(waiting.job, owner.decoder_)),
        generation(owner.decoder_, owner.tokenizer_, waiting.job.prompt, waiting.job.options,
                   decode::PromptReading::kInPasses, std::move(cache)) {}

  // What a TextBatch tells it.
  void on_pass(std::string_view piece, const decode::PassTrace& pass) {
    engine.deliver(*this, piece, pass);
  }
  void on_fault(const std::string& what) {
    const std::scoped_lock lock(*engine.mutex_);
    end(*this, Cut::kFault, what);
  }
  void on_end() {
    try {
      engine.prefixes_.keep(generation.session());
    } catch (const std::exception&) {
      // It is not known to later prompts, then.
    }
  }

  Engine& engine;
  std::shared_ptr<Request> request;
  size_t text;
  int64_t blocks;  // that it may come to need
  decode::TextGeneration generation;
  std::optional<Clock::time_point> last_token;
};

Engine::Ticket::~Ticket() {
  if (!request_) return;
  const std::scoped_lock lock(*request_->mutex);
  request_->given_up = true;
  request_->events.clear();
}

std::optional<Event> Engine::Ticket::wait(std::chrono::milliseconds patience) {
  std::unique_lock lock(*request_->mutex);
  request_->changed.wait_for(lock, patience, [&] { return !request_->events.empty(); });
  if (request_->events.empty()) return std::nullopt;
  Event event = std::move(request_->events.front());
  request_->events.pop_front();
  return event;
}

bool Engine::Ticket::done() const {
  const std::scoped_lock lock(*request_->mutex);
  return request_->open == 0 && request_->events.empty();
}

Engine::Engine(const decode::Decoder& decoder, const tokenizer::Tokenizer& tokenizer,
               const EngineOptions& options, Metrics& metrics)
    : decoder_(decoder),
      tokenizer_(tokenizer),
      options_(options),
      metrics_(metrics),
      pool_(std::make_shared<model::KvPool>(decoder.model().config(),
                                            tokens_of_pool(options, decoder.model()),
                                            decoder.model().cache_format())),
      prefixes_(pool_) {
  EVO_CHECK(options.active > 0 && options.queue > 0 && options.prompt_rows > 0);
}

Engine::~Engine() = default;

Engine::Ticket Engine::submit(std::vector<Job> jobs, bool streamed) {
  EVO_CHECK(!jobs.empty());
  const auto request = std::make_shared<Request>();
  request->mutex = mutex_;
  request->open = jobs.size();
  request->streamed = streamed;
  request->arrival = Clock::now();
  request->deadline = options_.request_seconds > 0
                          ? request->arrival + duration_of(options_.request_seconds)
                          : Clock::time_point::max();
  {
    const std::scoped_lock lock(*mutex_);
    if (drained_by_) {
      throw RequestError(kUnavailable, "the server is shutting down and takes no new requests", "",
                         "shutting_down");
    }
    if (std::ssize(queue_) + std::ssize(jobs) > options_.queue) {
      throw RequestError(
          kTooMany,
          fmt::format("{} texts wait already, and the queue holds {}: try again later",
                      queue_.size(), options_.queue),
          "", "queue_full");
    }
    for (size_t i = 0; i < jobs.size(); ++i) queue_.push_back({request, i, std::move(jobs[i])});
  }
  work_.notify_one();
  return Ticket(request);
}

void Engine::drain() {
  {
    const std::scoped_lock lock(*mutex_);
    if (drained_by_) return;
    drained_by_ = Clock::now() + duration_of(options_.drain_seconds);
  }
  work_.notify_one();
}

bool Engine::draining() const {
  const std::scoped_lock lock(*mutex_);
  return drained_by_.has_value();
}

void Engine::run(const std::function<bool()>& stop) {
  do {
    try {
      if (stop && stop()) drain();
      drop_lost();
      admit();
      save_memory();
      if (!active_.empty()) {
        const decode::BatchPass pass = active_.pass(options_.prompt_rows);
        metrics_.count_pass(pass.generating, pass.generated);
      }
    } catch (const std::exception& error) {
      fail_all(error.what());
    }
  } while (!active_.empty() || wait_for_work());
}

/// False if there is no work and there will be none.
bool Engine::wait_for_work() {
  std::unique_lock lock(*mutex_);
  if (queue_.empty() && drained_by_) return false;
  work_.wait_for(lock, kIdle, [&] { return !queue_.empty() || drained_by_; });
  return true;
}

Cut Engine::cut_of(const Request& request, Clock::time_point now) const {
  if (drained_by_ && now >= *drained_by_) return Cut::kDrain;
  return now >= request.deadline ? Cut::kDeadline : Cut::kNone;
}

/// Ends the texts, waiting or active, that nobody wants any more or whose time is over.
void Engine::drop_lost() {
  const std::scoped_lock lock(*mutex_);
  const auto now = Clock::now();
  std::erase_if(queue_, [&](const Waiting& waiting) {
    Request& request = *waiting.request;
    if (request.given_up) return true;
    const Cut cut = cut_of(request, now);
    if (cut == Cut::kNone) return false;
    Event event{waiting.text, "", {}, decode::Generation{}, cut, ""};
    event.end->finish = "interrupted";
    push(request, std::move(event));
    return true;
  });
  active_.remove_if([&](Running& running) {
    if (running.request->given_up) return true;
    const Cut cut = cut_of(*running.request, now);
    if (cut == Cut::kNone) return false;
    end(running, cut);
    return true;
  });
}

/// Fills the free places from the queue.
void Engine::admit() {
  while (active_.size() < options_.active) {
    std::optional<Waiting> next;
    {
      const std::scoped_lock lock(*mutex_);
      if (queue_.empty() || !make_room(blocks_of(queue_.front().job, decoder_))) break;
      next = std::move(queue_.front());
      queue_.pop_front();
    }
    if (auto running = begin(std::move(*next))) active_.add(std::move(running));
  }
  const std::scoped_lock lock(*mutex_);
  metrics_.set_load(std::ssize(queue_), active_.size());
  metrics_.set_cache(pool_->backed_blocks() * static_cast<int64_t>(pool_->block_bytes()),
                     prefixes_.blocks() * ops::kCacheBlock);
}

/// Whether a text that may come to need so many blocks can be active now. What others will need is
/// set aside, so that none runs out of room; what is only kept gives way.
bool Engine::make_room(int64_t blocks) {
  for (const auto& running : active_.texts()) blocks += running->blocks;
  const int64_t left = pool_->blocks() - blocks;
  if (left < 0) return false;
  prefixes_.shrink(left);
  return true;
}

/// Null if the text cannot begin, or is complete with nothing in it.
std::unique_ptr<Engine::Running> Engine::begin(Waiting waiting) {
  try {
    model::KvCache cache = prefixes_.find(waiting.job.prompt);
    metrics_.count_prompt(std::ssize(waiting.job.prompt.tokens), cache.length());
    auto running = std::make_unique<Running>(*this, waiting, std::move(cache));
    if (!running->generation.done()) return running;
    const std::scoped_lock lock(*mutex_);
    end(*running, Cut::kNone);
  } catch (const std::exception& error) {
    const std::scoped_lock lock(*mutex_);
    push(*waiting.request, {waiting.text, "", {}, decode::Generation{}, Cut::kFault, error.what()});
  }
  return nullptr;
}

size_t Engine::cache_bytes() const {
  return static_cast<size_t>(pool_->blocks()) * pool_->block_bytes();
}

/// Once in a while: gives back what neither texts nor passes have needed of late.
void Engine::save_memory() {
  const auto now = Clock::now();
  if (now < last_saving_ + kSaving) return;
  last_saving_ = now;
  prefixes_.forget_unused_since(now - duration_of(options_.keep_seconds));
  if (active_.empty()) {
    prefixes_.shrink(std::max(pool_->blocks() / kKeptPart, prefixes_.latest_blocks()));
    tensor::trim_pool();
  }
  pool_->trim(kSavedAtOnce);
}

void Engine::deliver(Running& running, std::string_view piece, const decode::PassTrace& trace) {
  const auto now = Clock::now();
  const auto tokens = std::ssize(trace.committed);
  if (tokens > 0 && !running.last_token) {
    metrics_.observe_first_token(seconds_between(running.request->arrival, now));
  } else if (tokens > 0) {
    const double seconds = seconds_between(*running.last_token, now);
    metrics_.observe_tokens(seconds / static_cast<double>(tokens), tokens);
  }
  if (tokens > 0) running.last_token = now;
  const std::scoped_lock lock(*mutex_);
  if (running.request->given_up) return;
  Event event{running.text, std::string(piece), trace, std::nullopt, Cut::kNone, ""};
  if (running.generation.done()) event.end = running.generation.result();
  push(*running.request, std::move(event));
}

/// With the mutex held.
void Engine::push(Request& request, Event event) {
  // Waking a thread takes a core from the passes.
  const bool ends = event.end.has_value();
  const bool wake = request.streamed || ends;
  request.events.push_back(std::move(event));
  if (ends) --request.open;
  if (wake) request.changed.notify_one();
}

/// With the mutex held: ends a text without a pass. Of one with a fault nothing is told.
void Engine::end(Running& running, Cut cut, const std::string& fault) {
  Event event{running.text, "", {}, decode::Generation{}, cut, fault};
  try {
    if (cut != Cut::kFault) event.end = running.generation.result();
  } catch (const std::exception& error) {
    event.cut = Cut::kFault;
    event.fault = error.what();
  }
  push(*running.request, std::move(event));
}

/// After a pass that failed as a whole nothing is known of the texts that shared it.
void Engine::fail_all(const std::string& fault) {
  const std::scoped_lock lock(*mutex_);
  for (const auto& running : active_.texts()) {
    try {
      end(*running, Cut::kFault, fault);
    } catch (const std::exception&) {
      // No memory is left to say so; the others are told.
    }
  }
  active_.clear();
}

}  // namespace evo::serve
