// The command line of the C++ runner.

#include <csignal>
#include <exception>
#include <iostream>
#include <map>
#include <string>

#include "commands.hpp"
#include "edgemeta/error.hpp"

namespace {

struct Command {
  void (*run)(const Words& words);
  const char* help;
};

const std::map<std::string, Command> kCommands = {
    {"verify",
     {verify,
      R"(Usage: edgemeta-cpp verify BUNDLE [OPTIONS]

  Replay BUNDLE's recorded episode here and compare with what PyTorch computed.

  Options:
    --threads N     CPU threads. [default: one per core]
    --key FILE      A public key, a PEM file: refuse BUNDLE unless it was signed with its
                    private key (`edgemeta sign`).
    --json          Print one JSON document.

  Example:
    edgemeta-cpp verify bundles/glyphs
)"}},
    {"adapt",
     {adapt,
      R"(Usage: edgemeta-cpp adapt BUNDLE SUPPORT --out STATE [OPTIONS]

  Adapt BUNDLE to the labelled samples of SUPPORT and write the state.

  SUPPORT is a .safetensors file with the tensors
    x  (S, *input shape), raw samples of the bundle's dtype
    y  (S,) int64 labels 0, 1, ..., or (S, *target shape) float32 targets

  Options:
    --out FILE      The .safetensors file to write; Python reads it, too.
    --steps N       Inner steps. [default: the bundle's]
    --lr-scale X    Multiplies the inner learning rate. [default: 1]
    --state FILE    Continue from this state, not from the init.
    --ways N        Classes of this task. [default: all of the head's; to a shared
                    head those of the labels]
    --threads N     CPU threads. [default: one per core]
    --key FILE      A public key, a PEM file: refuse BUNDLE unless it was signed with its
                    private key (`edgemeta sign`).
    --json          Print one JSON document.

  Example:
    edgemeta-cpp adapt bundles/glyphs support.safetensors --out mine.safetensors
)"}},
    {"predict",
     {predict,
      R"(Usage: edgemeta-cpp predict BUNDLE INPUT [OPTIONS]

  Predict the samples of INPUT, a .safetensors file with the tensor x as `adapt` takes
  it. If it has a y, too, the accuracy (or mean squared error) is shown.

  Options:
    --state FILE    What `adapt` wrote, here or in Python. [default: none, the
                    unadapted init predicts]
    --threads N     CPU threads. [default: one per core]
    --key FILE      A public key, a PEM file: refuse BUNDLE unless it was signed with its
                    private key (`edgemeta sign`).
    --json          Print one JSON document.

  Example:
    edgemeta-cpp predict bundles/glyphs new.safetensors --state mine.safetensors
)"}},
    {"bench",
     {bench,
      R"(Usage: edgemeta-cpp bench BUNDLE [OPTIONS]

  Measure adapting, predicting one sample, the first call of each, and the memory.

  Options:
    --shots N       Support samples per class (regression: in all); may be given more
                    than once. [default: 1, 5]
    --steps N       Inner steps. [default: the bundle's]
    --repeats N     Measured calls of each. [default: 50]
    --threads N     CPU threads. [default: one per core]
    --bare          Compare predicting one sample with ONNX Runtime alone.
    --json          Print one JSON document.

  Example:
    edgemeta-cpp bench bundles/glyphs --threads 1
)"}},
    {"serve",
     {serve,
      R"(Usage: edgemeta-cpp serve [--threads N]

  Answer requests to replay episodes, one JSON object a line, until the input ends.

  Example:
    echo '{"op": "load", "bundle": "bundles/glyphs"}' | edgemeta-cpp serve
)"}},
};

constexpr const char* kHelp = R"(Usage: edgemeta-cpp COMMAND ...

  Adapt on the device, in C++.

Commands:
  verify   Replay a bundle's selftest on this machine.
  adapt    Adapt a bundle to a support set.
  predict  Predict with a bundle and an adapted state.
  bench    Measure latency and memory of a bundle.
  serve    Answer requests to replay episodes.

`edgemeta-cpp COMMAND --help` says more.

Exit codes: 0 done, 1 a failure, 2 bad input or usage.
)";

int fail(const std::string& message, int code) {
  std::cerr << "Error: " << message << '\n';
  return code;
}

int run(const Words& words) {
  if (words.empty()) {
    std::cerr << kHelp;
    return 2;
  }
  if (words.front() == "--help") {
    std::cout << kHelp;
    return 0;
  }
  const auto command = kCommands.find(words.front());
  if (command == kCommands.end()) {
    return fail("no such command: " + words.front() + "; see edgemeta-cpp --help", 2);
  }
  const Words rest(words.begin() + 1, words.end());
  for (const std::string& word : rest) {
    if (word != "--help") continue;
    std::cout << command->second.help;
    return 0;
  }
  command->second.run(rest);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is a failure like a full disk
  try {
    const int code = run(Words(words + 1, words + count));
    std::cout.flush();
    return std::cout ? code : fail("cannot write the output", 1);
  } catch (const edgemeta::Error& error) {
    return fail(error.what(), error.exit_code());
  } catch (const std::exception& error) {  // no memory, for example
    return fail(error.what(), 1);
  }
}
