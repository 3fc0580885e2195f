package harness;

import java.io.IOException;
import java.io.Writer;

/** In the place of java.io.FileWriter: writes a file of Expect. */
public class FileWriter extends Writer {
    private final Expect.End end;

    public FileWriter(String name) throws IOException {
        end = new Expect.End(name, true);
    }

    @Override
    public void write(char[] text, int first, int count) throws IOException {
        java.util.Objects.checkFromIndexSize(first, count, text.length);
        for (int i = first; i < first + count; i++) {
            end.write(text[i]);
        }
    }

    @Override
    public void flush() throws IOException {
        end.flush();
    }

    @Override
    public void close() throws IOException {
        end.close();
    }
}
