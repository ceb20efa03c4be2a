// The commands of edgemeta-cpp. Each takes the words behind its name, and prints to standard
// output.

#pragma once

#include <chrono>
#include <string>
#include <vector>

using Words = std::vector<std::string>;

void verify(const Words& words);
void adapt(const Words& words);
void predict(const Words& words);
void bench(const Words& words);
void serve(const Words& words);

/// Milliseconds since it was made.
class Stopwatch {
 public:
  double milliseconds() const {
    return std::chrono::duration<double, std::milli>(Clock::now() - began_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point began_ = Clock::now();
};
