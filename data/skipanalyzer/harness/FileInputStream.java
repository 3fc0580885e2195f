package harness;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;

/** In the place of java.io.FileInputStream: reads a file of Expect, one character a byte. */
public class FileInputStream extends InputStream {
    private final Expect.End end;

    public FileInputStream(String name) throws FileNotFoundException {
        end = new Expect.End(name, false);
    }

    @Override
    public int read() throws IOException {
        return end.read();
    }

    @Override
    public void close() throws IOException {
        end.close();
    }
}
