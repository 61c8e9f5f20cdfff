#include "decode/policy/cost_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/testing.h"
#include "decode/session/session_testing.h"
#include "json/record.h"

namespace evo::testing {
namespace {

namespace fs = std::filesystem;

/// Passes of a machine on which drafts ahead are dear and kept.
void teach(const decode::Decoder& decoder) {
  const float maturity[] = {0.5f};
  for (int i = 0; i < 60; ++i) {
    decode::PassRun run{.rows = 2, .heads = 2, .seconds = 1.1e-3};
    run.ahead_steps = 1;
    run.ahead_seconds = 0.5e-3;
    decoder.exact_policy().learn({decode::DraftKind::kAhead, 24, 1, maturity, 1}, true);
    decoder.learn(run, 1, 1);
  }
}

double step_ahead(const decode::Decoder& decoder) {
  const decode::PassCost& cost = decoder.times().cost();
  return cost.draft(decode::DraftKind::kAhead) / cost.pass(1, 1);
}

TEST(CostStore, AnotherDecoderBeginsWithWhatWasLearnt) {
  const TemporaryFolder folder;
  const decode::CostStore store(folder.path() / "new" / "folder", shared_model(), "a machine");
  const decode::Decoder teacher(shared_model()), pupil(shared_model()), untaught(shared_model());
  EXPECT_FALSE(store.recall(pupil));
  teach(teacher);
  store.keep(teacher);
  EXPECT_TRUE(store.recall(pupil));
  EXPECT_NEAR(step_ahead(pupil) / step_ahead(teacher), 1, 1e-9);
  EXPECT_GT(std::abs(step_ahead(untaught) / step_ahead(teacher) - 1), 0.5);
  const decode::Calibration& calibration =
      pupil.exact_policy().calibration(decode::DraftKind::kAhead);
  EXPECT_GT(calibration.kept(0.5), 0.8);
  EXPECT_NEAR(untaught.exact_policy().calibration(decode::DraftKind::kAhead).kept(0.5), 0.5, 1e-9);
  // Nothing else is left in the folder.
  EXPECT_EQ(std::distance(fs::directory_iterator(store.file().parent_path()), {}), 1);
}

TEST(CostStore, KeepsNothingWhereNothingWasLearnt) {
  const TemporaryFolder folder;
  const decode::CostStore store(folder.path(), shared_model(), "a machine");
  store.keep(decode::Decoder(shared_model()));
  EXPECT_FALSE(fs::exists(store.file()));
  const decode::Decoder unmeasured(shared_model(), false);
  store.keep(unmeasured);
  EXPECT_FALSE(fs::exists(store.file()));
}

TEST(CostStore, OfAnotherMachineOrModelNothingIsRecalled) {
  const TemporaryFolder folder;
  const decode::CostStore store(folder.path(), shared_model(), "a machine");
  const decode::Decoder teacher(shared_model());
  teach(teacher);
  store.keep(teacher);
  const model::Model other = tiny_model(tiny_config(64), 5);  // the same shape, other weights
  const decode::Decoder pupil(shared_model()), other_pupil(other);
  EXPECT_FALSE(decode::CostStore(folder.path(), shared_model(), "another").recall(pupil));
  const decode::CostStore of_other(folder.path(), other, "a machine");
  EXPECT_FALSE(of_other.recall(other_pupil));
  // Not even if its file has that name.
  fs::copy_file(store.file(), of_other.file());
  EXPECT_FALSE(of_other.recall(other_pupil));
  EXPECT_TRUE(store.recall(pupil));
}

TEST(CostStore, ADamagedFileIsAsGoodAsNone) {
  const TemporaryFolder folder;
  const decode::CostStore store(folder.path(), shared_model(), "a machine");
  const decode::Decoder teacher(shared_model());
  teach(teacher);
  store.keep(teacher);
  const std::string good = read_bytes(store.file());
  std::vector<std::string> bad = {"", "{}", "null", std::string(1 << 21, ' ')};
  for (size_t size = 0; size < good.size(); size += 97) bad.push_back(good.substr(0, size));
  json::Record future = json::Record::parse(good, "it");
  bad.push_back(future.set("format", 2).dump());
  for (const char* key : {"times", "deviations", "ahead", "window"}) {
    const std::vector<double> numbers = json::Record::parse(good, "it").get_doubles(key);
    for (const double wrong : {-1e3, 1e12, std::nan("")}) {
      std::vector<double> changed = numbers;
      changed[1] = wrong;
      bad.push_back(json::Record::parse(good, "it").set(key, changed).dump());
    }
    bad.push_back(json::Record::parse(good, "it")
                      .set(key, std::vector<double>(numbers.size() + 1, 1))
                      .dump());
  }
  for (const std::string& content : bad) {
    write_bytes(store.file(), content);
    const decode::Decoder pupil(shared_model()), untaught(shared_model());
    EXPECT_FALSE(store.recall(pupil)) << content.substr(0, 300);
    EXPECT_EQ(step_ahead(pupil), step_ahead(untaught));
    EXPECT_EQ(pupil.exact_policy().experience_of(decode::DraftKind::kAhead),
              untaught.exact_policy().experience_of(decode::DraftKind::kAhead));
  }
  write_bytes(store.file(), good);
  EXPECT_TRUE(store.recall(decode::Decoder(shared_model())));
}

TEST(CostStore, AFolderThatCannotBeWrittenToIsNoFault) {
  const decode::Decoder teacher(shared_model());
  teach(teacher);
  for (const char* folder : {"", "/dev/null/folder", "/proc/none"}) {
    const decode::CostStore store(folder, shared_model(), "a machine");
    store.keep(teacher);
    EXPECT_FALSE(store.recall(decode::Decoder(shared_model()))) << folder;
  }
}

TEST(CostStore, OldFilesGo) {
  const TemporaryFolder folder;
  for (int i = 0; i < 250; ++i) {
    const fs::path file = folder.path() / fmt::format("{}.json", i);
    write_bytes(file, "x");
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(1000 - i));
  }
  const decode::CostStore store(folder.path(), shared_model(), "a machine");
  const decode::Decoder teacher(shared_model());
  teach(teacher);
  store.keep(teacher);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 200);
  EXPECT_TRUE(fs::exists(store.file()));
  EXPECT_TRUE(fs::exists(folder.path() / "249.json"));
  EXPECT_FALSE(fs::exists(folder.path() / "0.json"));
}

}  // namespace
}  // namespace evo::testing
