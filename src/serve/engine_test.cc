#include "serve/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "base/random.h"
#include "serve/api/request_error.h"
#include "serve/serve_testing.h"

namespace evo::serve {
namespace {

using testing::alone;
using testing::byte_tokenizer;
using testing::collect;
using testing::Ending;
using testing::job_of;
using testing::run_stepped;
using testing::RunningEngine;
using testing::served_model;
using namespace std::chrono_literals;

constexpr decode::Mode kModes[] = {decode::Mode::kAr, decode::Mode::kExact, decode::Mode::kEvo,
                                   decode::Mode::kDiffusion};

/// A text that takes long: a pass per token, as many as the context holds.
Job long_job() {
  return job_of("a", 120, decode::Mode::kAr);
}

int status_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const RequestError& error) {
    return error.status();
  }
  return 200;
}

TEST(Engine, GeneratesWhatGenerateDoes) {
  RunningEngine engine;
  for (const decode::Mode mode : kModes) {
    for (const double temperature : {0.0, 0.9}) {
      const Job job = job_of("hello", 24, mode, temperature, 7);
      Engine::Ticket ticket = engine->submit({job});
      const Ending ending = collect(ticket, 1)[0];
      const decode::Generation expected = alone(job);
      EXPECT_EQ(ending.end.text, expected.text) << decode::mode_name(mode);
      EXPECT_EQ(ending.text, expected.text);
      EXPECT_EQ(ending.end.finish, expected.finish);
      EXPECT_EQ(ending.end.tokens, expected.tokens);
    }
  }
}

/// What earlier texts have read is not read again, and makes no difference.
TEST(Engine, APromptThatGoesOnIsKnown) {
  RunningEngine engine;
  std::string text = "a conversation of several turns";
  int64_t read = 0;
  for (int turn = 0; turn < 3; ++turn) {
    const Job job = job_of(text, 8, decode::Mode::kExact);
    Engine::Ticket ticket = engine->submit({job});
    const Ending ending = collect(ticket, 1)[0];
    EXPECT_EQ(ending.end.tokens, alone(job).tokens) << turn;
    EXPECT_GE(ending.end.known, read);
    EXPECT_EQ(ending.end.known > 0, turn > 0);
    read = std::ssize(job.prompt.tokens) - 1;
    text += ending.end.text + " more";
  }
}

/// There is room for two long texts or so: others wait for it, what is kept gives way, and all
/// come out right.
TEST(Engine, TextsWaitForRoomForTheirKeysAndValues) {
  RunningEngine engine({.active = 8, .cache_tokens = 5 * ops::kCacheBlock});
  std::vector<Job> jobs;
  for (uint64_t i = 0; i < 12; ++i) {
    jobs.push_back(
        job_of(std::string(1 + i % 3 * 20, static_cast<char>('a' + i)), 60, kModes[i % 4], 0.7, i));
  }
  Engine::Ticket ticket = engine->submit(jobs);
  const std::vector<Ending> endings = collect(ticket, jobs.size());
  for (size_t i = 0; i < jobs.size(); ++i) {
    EXPECT_EQ(endings[i].end.tokens, alone(jobs[i]).tokens) << i;
    EXPECT_EQ(endings[i].cut, Cut::kNone);
  }
}

/// A metric's value; NaN if there is none of this name.
double metric(const std::string& text, const std::string& name) {
  const size_t at = text.find("\n" + name + " ");
  return at == std::string::npos ? NAN : std::stod(text.substr(at + name.size() + 2));
}

/// The first value of a metric that `wanted` is true of, or after half a minute whatever it is.
template <class Wanted>
double wait_for_metric(RunningEngine& engine, const std::string& name, const Wanted& wanted) {
  double value = NAN;
  for (int i = 0; i < 600; ++i) {
    value = metric(engine.metrics().text(), name);
    if (wanted(value)) break;
    std::this_thread::sleep_for(50ms);
  }
  return value;
}

/// Sixteen texts at once, of two blocks each, and a last one.
void generate_many(RunningEngine& engine) {
  std::vector<Job> jobs;
  for (char c = 'a'; c < 'q'; ++c) jobs.push_back(job_of(std::string(70, c), 40));
  for (const std::vector<Job>& request : {jobs, {job_of("z", 2)}}) {
    Engine::Ticket ticket = engine->submit(request);
    collect(ticket, request.size());
  }
}

/// An eighth of the cache stays for what a prompt may go on from.
TEST(Engine, MemoryIsGivenBackAfterLoad) {
  RunningEngine engine({.active = 16, .cache_tokens = 64 * ops::kCacheBlock});
  EXPECT_EQ(engine->cache_tokens(), 64 * ops::kCacheBlock);
  generate_many(engine);
  const auto block = static_cast<double>(engine->cache_bytes()) / 64;
  EXPECT_GT(metric(engine.metrics().text(), "evo_cache_bytes"), 8 * block);
  const double kept =
      wait_for_metric(engine, "evo_cache_bytes", [&](double bytes) { return bytes <= 8 * block; });
  EXPECT_LE(kept, 8 * block);
  EXPECT_GT(kept, 4 * block);
  const double tokens = metric(engine.metrics().text(), "evo_kept_tokens");
  EXPECT_TRUE(tokens > 4 * ops::kCacheBlock && tokens <= 8 * ops::kCacheBlock) << tokens;
}

TEST(Engine, TextsAreForgottenWhenNothingGoesOnFromThem) {
  RunningEngine engine({.active = 16, .cache_tokens = 64 * ops::kCacheBlock, .keep_seconds = 0});
  generate_many(engine);
  EXPECT_GT(metric(engine.metrics().text(), "evo_cache_bytes"), 0);
  EXPECT_EQ(wait_for_metric(engine, "evo_cache_bytes", [](double b) { return b == 0; }), 0);
  EXPECT_EQ(metric(engine.metrics().text(), "evo_kept_tokens"), 0);
  Engine::Ticket again = engine->submit({job_of("hello", 20)});
  EXPECT_EQ(collect(again, 1)[0].end.tokens, alone(job_of("hello", 20)).tokens);
}

TEST(Engine, TextsDoNotDependOnTheirCompany) {
  // Few places and small pieces, so that texts wait, and prompts are read beside other texts.
  RunningEngine engine({.active = 5, .prompt_rows = 7});
  Random random(3, 1);
  std::vector<Job> jobs;
  for (uint64_t i = 0; i < 24; ++i) {
    std::string prompt(1 + random.below(60), 'x');
    for (char& c : prompt) c = static_cast<char>('a' + random.below(26));
    jobs.push_back(job_of(prompt, 1 + static_cast<int64_t>(random.below(30)), kModes[i % 4],
                          i % 3 == 0 ? 0.8 : 0, i));
  }
  std::vector<Ending> endings(jobs.size());
  std::vector<std::thread> clients;
  for (size_t c = 0; c < 6; ++c) {
    clients.emplace_back([&, c] {
      for (size_t i = c; i < jobs.size(); i += 6) {
        Engine::Ticket ticket = engine->submit({jobs[i]});
        endings[i] = collect(ticket, 1)[0];
      }
    });
  }
  for (std::thread& client : clients) client.join();
  for (size_t i = 0; i < jobs.size(); ++i) {
    const decode::Generation expected = alone(jobs[i]);
    EXPECT_EQ(endings[i].end.tokens, expected.tokens) << i;
    EXPECT_EQ(endings[i].text, expected.text) << i;
    EXPECT_EQ(endings[i].end.finish, expected.finish) << i;
  }
}

TEST(Engine, ARequestHasSeveralTexts) {
  RunningEngine engine;
  const std::vector<Job> jobs = {job_of("one", 9), job_of("two", 12), job_of("three", 5)};
  Engine::Ticket ticket = engine->submit(jobs);
  const std::vector<Ending> endings = collect(ticket, 3);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(endings[i].text, alone(jobs[i]).text) << i;
}

TEST(Engine, ALongPromptIsReadBesideOthers) {
  const Job job = job_of(std::string(100, 'q'), 1, decode::Mode::kAr);
  std::optional<Engine::Ticket> first, second;
  int begun = 0, ended = 0, meanwhile = 0;
  run_stepped({.prompt_rows = 4}, [&](Engine& engine, int pass) {
    if (pass == 0) first.emplace(engine.submit({job_of("a", 100, decode::Mode::kAr)}));
    if (pass == 5) {
      while (first->wait(0ms)) {
      }
      second.emplace(engine.submit({job}));
      begun = pass;
    }
    if (begun == 0 || ended > 0) return ended > 0;
    if (first->wait(0ms)) ++meanwhile;
    if (const std::optional<Event> event = second->wait(0ms)) {
      EXPECT_EQ(event->end->tokens, alone(job).tokens);
      ended = pass;
    }
    return false;
  });
  // 101 tokens, all but the last in 25 pieces; the pass after them generates.
  EXPECT_EQ(ended - begun, 26);
  EXPECT_EQ(meanwhile, 26);
}

TEST(Engine, AFullQueueIsRefusedAndEmptiesAgain) {
  std::optional<Engine::Ticket> running, first, second, later;
  int emptied = 0;
  run_stepped({.active = 1, .queue = 2}, [&](Engine& engine, int pass) {
    if (pass == 0) running.emplace(engine.submit({long_job()}));
    if (pass == 2) {  // it has left the queue
      first.emplace(engine.submit({job_of("x", 2)}));
      second.emplace(engine.submit({job_of("y", 2)}));
      EXPECT_EQ(status_of([&] { (void)engine.submit({job_of("z", 2)}); }), kTooMany);
    }
    // The first of the queue takes the place before the pass after that of the end.
    if (emptied > 0 && pass > emptied && !later) later.emplace(engine.submit({job_of("z", 2)}));
    while (pass >= 2 && running->wait(0ms)) {
    }
    if (running->done() && emptied == 0) emptied = pass;
    return later.has_value();
  });
  EXPECT_EQ(collect(*first, 1)[0].text, alone(job_of("x", 2)).text);
  EXPECT_EQ(collect(*second, 1)[0].text, alone(job_of("y", 2)).text);
  EXPECT_EQ(collect(*later, 1)[0].text, alone(job_of("z", 2)).text);
}

TEST(Engine, FirstComeFirstServed) {
  std::vector<Engine::Ticket> tickets;
  std::vector<size_t> order;
  run_stepped({.active = 1}, [&](Engine& engine, int pass) {
    for (int i = 0; i < 4 && pass == 0; ++i) {
      tickets.push_back(engine.submit({job_of("x", 3, decode::Mode::kAr)}));
    }
    for (size_t i = 0; i < tickets.size(); ++i) {
      while (tickets[i].wait(0ms)) order.push_back(i);
    }
    return order.size() == 12;
  });
  EXPECT_EQ(order, (std::vector<size_t>{0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3}));
}

TEST(Engine, AnAbandonedRequestEnds) {
  std::optional<Engine::Ticket> abandoned, next;
  const std::string metrics = run_stepped({.active = 1}, [&](Engine& engine, int pass) {
    if (pass == 0) abandoned.emplace(engine.submit({long_job(), long_job(), long_job()}));
    if (pass == 10) {
      abandoned.reset();
      next.emplace(engine.submit({job_of("x", 3, decode::Mode::kAr)}));
    }
    return pass >= 10;
  });
  EXPECT_EQ(collect(*next, 1)[0].text, alone(job_of("x", 3)).text);
  // Of ten passes one read the prompt; so did one of the next text.
  EXPECT_NE(metrics.find("\nevo_generated_tokens_total 12\n"), std::string::npos) << metrics;
}

TEST(Engine, ADeadlineEndsWhatRunsAndWhatWaits) {
  std::optional<Engine::Ticket> ticket;
  run_stepped({.active = 1, .request_seconds = 0.05}, [&](Engine& engine, int pass) {
    if (pass == 0) ticket.emplace(engine.submit({long_job(), long_job()}));
    if (pass == 5) std::this_thread::sleep_for(60ms);
    return pass == 5;
  });
  for (const Ending& ending : collect(*ticket, 2)) {
    EXPECT_EQ(ending.cut, Cut::kDeadline);
    EXPECT_EQ(ending.end.finish, "interrupted");
  }
}

TEST(Engine, DrainingFinishesWhatThereIsAndTakesNothingNew) {
  RunningEngine engine({.active = 1});
  const Job job = job_of("x", 40, decode::Mode::kAr);
  Engine::Ticket running = engine->submit({job, job});
  ASSERT_TRUE(running.wait(30s));
  engine->drain();
  EXPECT_EQ(status_of([&] { (void)engine->submit({job}); }), kUnavailable);
  for (const Ending& ending : collect(running, 2)) {
    EXPECT_EQ(ending.cut, Cut::kNone);
    EXPECT_EQ(ending.end.tokens, alone(job).tokens);
  }
}

TEST(Engine, DrainingTakesNoLongerThanItMay) {
  std::optional<Engine::Ticket> ticket;
  run_stepped({.active = 1, .drain_seconds = 0}, [&](Engine& engine, int pass) {
    if (pass == 0) ticket.emplace(engine.submit({long_job(), long_job()}));
    return pass == 5;
  });
  const std::vector<Ending> endings = collect(*ticket, 2);
  EXPECT_EQ(endings[0].cut, Cut::kDrain);
  EXPECT_EQ(endings[0].end.tokens.size(), 4u);  // what there was
  EXPECT_EQ(endings[1].cut, Cut::kDrain);
}

TEST(Engine, StopsWhenItIsTold) {
  const decode::Decoder decoder(served_model());
  Metrics metrics;
  Engine engine(decoder, byte_tokenizer(), {}, metrics);
  std::atomic<bool> stop = false;
  std::thread thread([&] { engine.run([&] { return stop.load(); }); });
  Engine::Ticket ticket = engine.submit({job_of("x", 2)});
  collect(ticket, 1);
  stop = true;
  thread.join();
  EXPECT_TRUE(engine.draining());
}

TEST(Engine, WhatCannotBeginIsAFaultOfItsOwn) {
  RunningEngine engine;
  // The prompt fills the context.
  Engine::Ticket bad = engine->submit({job_of(std::string(200, 'x'), 3)});
  Engine::Ticket good = engine->submit({job_of("x", 3)});
  EXPECT_EQ(collect(bad, 1)[0].cut, Cut::kFault);
  EXPECT_EQ(collect(good, 1)[0].cut, Cut::kNone);
}

TEST(Engine, AFaultInAPassEndsOneTextOnly) {
  RunningEngine engine;
  for (const decode::Mode mode : kModes) {
    Job wrong = job_of("hello", 24, mode);
    wrong.options.decode.shape.bias = {{9999, 1.0F}};
    const Job right = job_of("hello", 24, mode);
    Engine::Ticket good = engine->submit({right});
    Engine::Ticket bad = engine->submit({wrong, right});
    const std::vector<Ending> endings = collect(bad, 2);
    EXPECT_EQ(endings[0].cut, Cut::kFault) << decode::mode_name(mode);
    EXPECT_EQ(endings[1].end.text, alone(right).text) << decode::mode_name(mode);
    EXPECT_EQ(collect(good, 1)[0].end.text, alone(right).text) << decode::mode_name(mode);
  }
}

TEST(Engine, LogprobsAreThoseOfTheModel) {
  RunningEngine engine;
  for (const decode::Mode mode : {decode::Mode::kAr, decode::Mode::kExact}) {
    Job job = job_of("hi", 10, mode, 0.7, 5);
    job.options.decode.logprobs = 3;
    Engine::Ticket ticket = engine->submit({job});
    std::vector<int32_t> text = job.prompt.tokens;
    while (!ticket.done()) {
      const std::optional<Event> event = ticket.wait(30s);
      ASSERT_TRUE(event);
      ASSERT_EQ(event->pass.logprobs.size(), event->pass.committed.size());
      for (const decode::TokenLogprob& token : event->pass.logprobs) {
        const std::vector<float> p =
            testing::distribution(testing::next_logits(served_model(), text), {.temperature = 1});
        // One pass over the whole text sums in another order than a cached one: rounding only.
        const auto log_p = [&](int32_t id) { return std::log(p[id]); };
        EXPECT_NEAR(token.logprob, log_p(token.token), 1e-4);
        ASSERT_EQ(token.top.size(), 3u);
        EXPECT_NEAR(token.top[0].second, std::log(*std::ranges::max_element(p)), 1e-4);
        EXPECT_NEAR(token.top[2].second, log_p(token.top[2].first), 1e-4);
        text.push_back(token.token);
      }
    }
    EXPECT_EQ(text.size(), job.prompt.tokens.size() + 10);
  }
}

}  // namespace
}  // namespace evo::serve
