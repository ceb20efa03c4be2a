// Loads the bundle that is its argument, and prints its fingerprint, or the error as the library
// threw it: across the border of a shared library, too.

#include <edgemeta/runner.hpp>
#include <iostream>

int main(int, char** arguments) {
  try {
    const edgemeta::Runner runner(arguments[1], 1);
    std::cout << runner.fingerprint() << '\n';
  } catch (const edgemeta::Error& error) {
    std::cout << "edgemeta::Error " << error.exit_code() << '\n';
  }
}
