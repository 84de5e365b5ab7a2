/*
 * Measures a BMP picture: opens input and output, locks itself down, and only then reads.
 *
 * The parser has a bug, on purpose: it does not check how the picture is compressed before it picks the decoder, so that
 * a crafted file reaches what lies behind the table, a hook for debugging that runs a command out of the file. A real
 * parser's bug is harder to use and worth as much. Locked down, it is worth nothing.
 *
 *     cc parse.c $(pkg-config --cflags --libs lazaret) -o parse && ./parse picture.bmp report.txt
 */
#include <lazaret.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* BITMAPFILEHEADER and BITMAPINFOHEADER. */
#define HEADER 54
#define MOST (1 << 20)

typedef const char *(*decoder)(const char *rest);

static const char *plain(const char *rest)
{
    (void)rest;
    return "uncompressed";
}

static const char *run_length(const char *rest)
{
    (void)rest;
    return "run-length encoded";
}

static const char *debug_hook(const char *rest)
{
    return system(rest) == 0 ? "the command of the file was run" : "the command of the file was not run";
}

static struct {
    decoder decoders[2];
    decoder debug;
} table = {{plain, run_length}, debug_hook};

static unsigned long word(const unsigned char *at)
{
    return at[0] | (unsigned long)at[1] << 8 | (unsigned long)at[2] << 16 | (unsigned long)at[3] << 24;
}

int main(int count, char **arguments)
{
    char error[LAZARET_ERROR_SIZE];
    static unsigned char bytes[MOST + 1];
    FILE *input, *output;
    size_t size;
    decoder *decoder_of_file;

    if (count != 3) {
        fprintf(stderr, "usage: parse INPUT.bmp OUTPUT.txt\n");
        return 2;
    }
    /* Everything that needs a path comes first. */
    input = fopen(arguments[1], "rb");
    output = fopen(arguments[2], "wb");
    if (input == NULL || output == NULL) {
        perror("parse");
        return 1;
    }
#ifndef WITHOUT_LOCKDOWN
    if (lazaret_lockdown("compute", 0, error, sizeof error) != LAZARET_OK) {
        fprintf(stderr, "parse: %s\n", error);
        return 1;
    }
#else
    (void)error;
#endif
    /* Only from here on hostile bytes are looked at. */
    size = fread(bytes, 1, MOST, input);
    if (size < HEADER || memcmp(bytes, "BM", 2) != 0) {
        fprintf(stderr, "parse: no BMP file\n");
        return 1;
    }
    /* The bug: the compression is the file's word, and the table has two decoders. */
    decoder_of_file = (decoder *)&table + word(bytes + 30);
    fprintf(output, "%lu x %lu, %s\n", word(bytes + 18), word(bytes + 22), (*decoder_of_file)((char *)bytes + HEADER));
    return fclose(output) == 0 ? 0 : 1;
}
