#include "base/process/watcher.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace evo {
namespace {

class Recorder : public Watcher {
 public:
  [[nodiscard]] bool wants_end() const override { return ends; }
  [[nodiscard]] std::unique_ptr<ProgressView> view(const ProgressState& begin) override {
    seen.push_back(begin.label);
    return std::make_unique<View>(seen);
  }

  bool ends = false;
  std::vector<std::string> seen;

 private:
  class View : public ProgressView {
   public:
    explicit View(std::vector<std::string>& seen) : seen_(seen) {}
    ~View() override { seen_.push_back("over"); }
    void update(double done, const std::string& note) override {
      seen_.push_back(fmt::format("{} {}", done, note));
    }

   private:
    std::vector<std::string>& seen_;
  };
};

TEST(Watcher, NobodyAtFirst) {
  EXPECT_FALSE(interrupted());
  Progress progress("reading", 10, "MB");
  progress.update(5);
}

TEST(Watcher, TheInnermostOfTheThreadCounts) {
  Recorder program, outer, inner;
  program.ends = inner.ends = true;
  set_program_watcher(&program);
  {
    const WatchScope first(outer);
    EXPECT_FALSE(interrupted());
    {
      const WatchScope second(inner);
      EXPECT_TRUE(interrupted());
    }
    EXPECT_FALSE(interrupted());
    bool elsewhere = false;
    std::thread([&] { elsewhere = interrupted(); }).join();
    EXPECT_TRUE(elsewhere) << "a thread without a scope has the program's";
  }
  EXPECT_TRUE(interrupted());
  set_program_watcher(nullptr);
  EXPECT_FALSE(interrupted());
}

TEST(Watcher, SeesProgressUntilItsEnd) {
  Recorder watcher;
  const WatchScope scope(watcher);
  {
    Progress progress("reading", 10, "MB");
    progress.update(4);
    progress.update(8, "fast");
    progress.finish();
    progress.update(9);
    Progress quiet("writing", 10, "MB", true);
    quiet.update(1);
  }
  EXPECT_EQ(watcher.seen, (std::vector<std::string>{"reading", "4 ", "8 fast", "over"}));
}

}  // namespace
}  // namespace evo
