// Reads the header of a PNG picture: opens input and output, locks itself down, and only then reads.
//
// The parser has a bug, on purpose: a handler for debugging was left in the table of chunks, and runs a command out of
// the file. Locked down, it is worth nothing.
//
//     c++ parse.cpp $(pkg-config --cflags --libs lazaret) -o parse && ./parse picture.png report.txt
#include <lazaret.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using Bytes = std::vector<unsigned char>;

std::uint32_t word(const Bytes &bytes, std::size_t at)
{
    // Throws where the file is too short: exceptions work as before.
    return std::uint32_t{bytes.at(at)} << 24 | std::uint32_t{bytes.at(at + 1)} << 16 |
           std::uint32_t{bytes.at(at + 2)} << 8 | std::uint32_t{bytes.at(at + 3)};
}

std::string header(const Bytes &chunk)
{
    return std::to_string(word(chunk, 0)) + " x " + std::to_string(word(chunk, 4));
}

// The bug.
std::string debug_hook(const Bytes &chunk)
{
    const std::string command(chunk.begin(), chunk.end());
    return std::system(command.c_str()) == 0 ? "the command of the file was run" : "the command of the file was not run";
}

const std::map<std::string, std::function<std::string(const Bytes &)>> handlers{{"IHDR", header}, {"dbUg", debug_hook}};

void parse(const Bytes &file, std::ostream &output)
{
    static const std::string signature{"\x89PNG\r\n\x1a\n", 8};
    if (file.size() < 8 || std::string(file.begin(), file.begin() + 8) != signature) {
        throw std::runtime_error("no PNG file");
    }
    for (std::size_t at = 8; at < file.size();) {
        const std::size_t size = word(file, at);
        if (size > file.size() - at || file.size() - at - size < 12) {
            throw std::runtime_error("a chunk is cut off");
        }
        const auto begin = file.begin() + static_cast<std::ptrdiff_t>(at + 8);
        const std::string type(begin - 4, begin);
        const auto handler = handlers.find(type);
        if (handler != handlers.end()) {
            output << type << ": " << handler->second(Bytes(begin, begin + static_cast<std::ptrdiff_t>(size))) << '\n';
        }
        at += size + 12;
    }
}

} // namespace

int main(int count, char **arguments)
{
    if (count != 3) {
        std::cerr << "usage: parse INPUT.png OUTPUT.txt\n";
        return 2;
    }
    // Everything that needs a path comes first.
    std::ifstream input(arguments[1], std::ios::binary);
    std::ofstream output(arguments[2], std::ios::binary);
    if (!input || !output) {
        std::cerr << "parse: cannot open the files\n";
        return 1;
    }
#ifndef WITHOUT_LOCKDOWN
    char error[LAZARET_ERROR_SIZE];
    if (lazaret_lockdown("compute", 0, error, sizeof error) != LAZARET_OK) {
        std::cerr << "parse: " << error << '\n';
        return 1;
    }
#endif
    try {
        parse(Bytes(std::istreambuf_iterator<char>(input), {}), output);
    } catch (const std::exception &problem) {
        std::cerr << "parse: " << problem.what() << '\n';
        return 1;
    }
    return output.flush() ? 0 : 1;
}
